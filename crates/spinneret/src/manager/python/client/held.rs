//! What one connection holds of an object: a lock, a permit.
//!
//! Locks belong to connections: to the server, each is a thread of a program. So whoever holds one
//! keeps its connection, over which nothing else is asked meanwhile. A manager of ours gives back
//! what the connections of a dead program held; Python's server does not.

use std::{sync::Arc, time::Duration};

use spinneret_pickle::Value;

use super::{
    connection::{Connection, State},
    flight::{Flight, Undo, is_acquired},
    proxy::Proxy,
    server::{Server, broken},
    values::seconds,
};
use crate::manager::error::ManagerError;

/// See the module. Dropping it releases the object, in the background.
#[derive(Debug)]
pub(crate) struct Held {
    proxy: Proxy,
    /// None if the connection broke or the release is under way.
    connection: Option<Connection>,
}

/// How long to wait for a lock or a permit.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    Forever,
    None,
    For(Duration),
}

impl Patience {
    fn args(self, server: &Server) -> Result<Vec<Value>, ManagerError> {
        Ok(match self {
            Self::Forever => vec![],
            Self::None | Self::For(Duration::ZERO) => vec![Value::bool(false)],
            Self::For(_) if server.is_stock() && server.dialect().is_python2() => {
                return Err(ManagerError::Unsupported {
                    what: "a time limit for a lock",
                    why: "Python 2.7 has none: `try` it again and again",
                });
            }
            Self::For(time) => vec![Value::bool(true), seconds(Some(time))],
        })
    }
}

impl Held {
    /// Waits for the object; `None` if it is not to be had in time.
    pub async fn acquire(proxy: &Proxy, patience: Patience) -> Result<Option<Self>, ManagerError> {
        let reference = proxy.reference();
        let server = reference.server();
        let args = patience.args(server)?;
        let request = server.request(Some(reference.ident()), "acquire", args, vec![])?;
        let connection = server.connection().await?;
        let mut flight = Flight::new(server, connection, reference.ident(), Some(Undo::Release));
        let answer = flight.ask(&request).await?;
        if !is_acquired(&server.read_value(&answer)?) {
            return Ok(None);
        }
        Ok(Some(Self { proxy: proxy.clone(), connection: flight.into_connection() }))
    }

    /// Calls a method as the holder. If the future is dropped, the call goes on in the server, and
    /// the next one waits for its end.
    pub async fn ask(&mut self, method: &str, args: Vec<Value>) -> Result<Value, ManagerError> {
        let reference = self.proxy.reference();
        let server = reference.server();
        let request = server.request(Some(reference.ident()), method, args, vec![])?;
        let Some(connection) = &mut self.connection else {
            return Err(ManagerError::Disconnected {
                reason: "the connection broke before".into(),
            });
        };
        let asked = async {
            if connection.state() == State::Waiting {
                connection.answer().await?;
            }
            connection.ask(&request).await
        };
        match asked.await {
            Ok(answer) => server.read_value(&answer),
            Err(error) => {
                self.connection = None;
                Err(broken(&error))
            }
        }
    }

    /// Releases the object.
    pub async fn release(mut self) -> Result<(), ManagerError> {
        let released = self.ask("release", vec![]).await;
        if let Some(connection) = self.connection.take() {
            self.proxy.reference().server().give_back(connection);
        }
        released.map(drop)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let server = Arc::clone(self.proxy.reference().server());
        match connection.state() {
            // The request was cut off, or (if it is ours) closing is the quickest release.
            State::Writing => {}
            State::Waiting if !server.is_stock() => {}
            State::Idle | State::Waiting => {
                let proxy = self.proxy.clone();
                server.in_background(async move {
                    // Not before this runs: where nothing runs any more, the connection is closed.
                    let held = Self { proxy, connection: Some(connection) };
                    if let Err(error) = held.release().await {
                        tracing::warn!(%error, "could not release what was held");
                    }
                });
            }
        }
    }
}
