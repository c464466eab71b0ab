//! Requests to the server itself: one on a connection, then it is closed.

use std::fmt::Write as _;

use spinneret_pickle::{Dialect, Value};

use super::{
    Server,
    args::Args,
    message::{Reply, Request},
    object::Call,
    proxy,
};
use crate::manager::wire::clip;

/// The longest name that a connection may give itself, in bytes.
const LONGEST_NAME: usize = 128;
/// How much of an object's `repr` is listed, in characters.
const SHOWN: usize = 75;

/// What comes of a request.
pub(super) enum Control {
    Reply(Reply),
    /// The manager is to end, once that is answered.
    Shutdown,
    /// The connection becomes one that is served, by that name.
    Accept(String),
}

impl Server {
    pub(super) fn control(&self, request: Request<'_>, dialect: Dialect) -> Control {
        let Request { method, args, .. } = request;
        let reply = match method {
            "dummy" => Ok(Reply::none()),
            "create" => self.create_for(args, dialect),
            "incref" => by_ident(args, method, |ident| self.objects.incref(ident)),
            "decref" => by_ident(args, method, |ident| self.objects.decref(ident)),
            "get_methods" => self.get_methods(args, dialect),
            "number_of_objects" => {
                let count = i64::try_from(self.objects.count()).unwrap_or(i64::MAX);
                Ok(Reply::Return(Value::int(count)))
            }
            "debug_info" => Ok(Reply::Return(Value::native(self.debug_info(dialect)))),
            "shutdown" => return Control::Shutdown,
            "accept_connection" => match one(args, method, "name") {
                Ok(name) => {
                    let name = name.as_str().unwrap_or_default();
                    let name: String = name.chars().filter(|c| !c.is_control()).collect();
                    return Control::Accept(clip(&name, LONGEST_NAME).into());
                }
                Err(reply) => Err(reply),
            },
            _ => Err(Reply::traceback(format_args!(
                "AssertionError: '{}' unrecognized",
                method.escape_debug()
            ))),
        };
        Control::Reply(reply.unwrap_or_else(|refusal| refusal))
    }

    fn create_for(&self, mut args: Args, dialect: Dialect) -> Result<Reply, Reply> {
        // Up to Python 3.8 the typeid may have its name.
        let by_name = args.keywords.iter().position(|(name, _)| name == "typeid");
        let typeid = match by_name {
            Some(place) if args.positional.is_empty() => args.keywords.remove(place).1,
            _ if !args.positional.is_empty() => args.positional.remove(0),
            _ => {
                let text = "TypeError: create() missing 1 required positional argument: 'typeid'";
                return Err(Reply::traceback(text));
            }
        };
        let Some(typeid) = typeid.as_str() else {
            return Err(Reply::traceback("TypeError: a typeid is a string"));
        };
        let call = Call { owner: 0, dialect, args, objects: self.objects.clone() };
        let (ident, object) = self.create(typeid, call).map_err(Reply::traceback)?;
        let names = proxy::names(&*object, dialect);
        Ok(Reply::Return(Value::tuple([Value::native(&*ident), names])))
    }

    fn get_methods(&self, args: Args, dialect: Dialect) -> Result<Reply, Reply> {
        let token = one(args, "get_methods", "token")?;
        let Some(ident) = proxy::token_ident(token.as_ref()) else {
            return Err(Reply::traceback("TypeError: not a token"));
        };
        match self.objects.get(ident) {
            Some(object) => Ok(Reply::Return(proxy::names(&*object, dialect))),
            None => Err(Reply::key_error(ident)),
        }
    }

    /// For people: every object with its references and the start of its `repr`.
    fn debug_info(&self, dialect: Dialect) -> String {
        let mut info = String::new();
        for (ident, references, object) in self.objects.list() {
            if references == 0 {
                continue;
            }
            if !info.is_empty() {
                info.push('\n');
            }
            let shown: String = object.repr(dialect).chars().take(SHOWN).collect();
            // Writing to a string does not fail.
            let _ = write!(info, "  {ident}:       refcount={references}\n    {shown}");
        }
        info
    }
}

/// Changes the object that the only argument names.
fn by_ident(args: Args, method: &str, change: impl FnOnce(&str) -> bool) -> Result<Reply, Reply> {
    let ident = one(args, method, "ident")?;
    let ident = ident.as_str().unwrap_or_default();
    if change(ident) { Ok(Reply::none()) } else { Err(Reply::key_error(ident)) }
}

/// The only argument of a request.
fn one(args: Args, method: &str, parameter: &str) -> Result<Value, Reply> {
    let ([value], []) = args.bind(method, [parameter], []).map_err(Reply::traceback)?;
    Ok(value)
}
