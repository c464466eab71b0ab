//! A reference to an object of a server, which lives at least as long as the reference.

use std::sync::Arc;

use spinneret_pickle::{Value, ValueRef};

use super::{server::Server, travel::parts};

/// See the module. The server counted it when it gave the ident away; dropping it gives it back, in
/// the background.
#[derive(Debug)]
pub(crate) struct Reference {
    server: Arc<Server>,
    typeid: Arc<str>,
    ident: Arc<str>,
    /// What the server says that can be called.
    exposed: Vec<String>,
}

impl Reference {
    pub(crate) fn new(
        server: &Arc<Server>,
        typeid: Arc<str>,
        ident: &str,
        exposed: ValueRef<'_>,
    ) -> Self {
        let server = Arc::clone(server);
        let mut reference = Self { server, typeid, ident: ident.into(), exposed: Vec::new() };
        reference.expose(exposed);
        reference
    }

    /// The object that a `#PROXY` answer tells of: the names of its methods, and its token.
    pub(crate) fn of_answer(server: &Arc<Server>, answer: ValueRef<'_>) -> Option<Self> {
        let mut items = answer.items()?;
        let (exposed, token) = (items.next()?, items.next()?);
        let (typeid, ident) = parts(&token.to_value())?;
        Some(Self::new(server, typeid.into(), &ident, exposed))
    }

    /// Takes in what can be called, if that was not known before.
    pub fn expose(&mut self, names: ValueRef<'_>) {
        let names = names.items().into_iter().flatten();
        self.exposed = names.filter_map(|name| name.as_str().map(str::to_owned)).collect();
    }

    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    pub fn typeid(&self) -> &str {
        &self.typeid
    }

    pub fn ident(&self) -> &Arc<str> {
        &self.ident
    }

    pub fn exposed(&self) -> &[String] {
        &self.exposed
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let (server, ident) = (Arc::clone(&self.server), Arc::clone(&self.ident));
        self.server.in_background(async move {
            let args = vec![Value::native(&*ident)];
            if let Err(error) = server.control("decref", args, vec![]).await {
                tracing::debug!(%error, ident = &*ident, "could not give a reference back");
            }
        });
    }
}
