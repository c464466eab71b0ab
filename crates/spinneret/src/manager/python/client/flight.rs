//! A call under way, and what becomes of it if its caller leaves before the answer.
//!
//! One of our own managers notices that the connection is closed, and then the call has taken
//! nothing. Python's server does not: its call goes on, and the item that it takes, or the lock,
//! would be lost. So there somebody stays, waits for the answer, and gives back what it brought.

use std::sync::Arc;

use spinneret_pickle::Value;

use super::{
    connection::{Connection, Frame, State},
    server::{Answer, Server, broken},
};
use crate::manager::error::ManagerError;

/// How to give back what a call took.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Undo {
    /// An item of a queue is put back, at its end, and counts as not done as often as before.
    PutBack,
    /// What was acquired is released.
    Release,
}

/// See the module.
pub(crate) struct Flight {
    server: Arc<Server>,
    ident: Arc<str>,
    undo: Option<Undo>,
    /// None when it was taken out.
    connection: Option<Connection>,
}

impl Flight {
    pub fn new(
        server: &Arc<Server>,
        connection: Connection,
        ident: &Arc<str>,
        undo: Option<Undo>,
    ) -> Self {
        let (server, ident) = (Arc::clone(server), Arc::clone(ident));
        Self { server, ident, undo, connection: Some(connection) }
    }

    /// Sends the request and waits for its answer.
    pub async fn ask(&mut self, request: &Frame) -> Result<bytes::Bytes, ManagerError> {
        let Some(connection) = &mut self.connection else {
            return Err(ManagerError::Disconnected { reason: "it was closed".into() });
        };
        let asked = connection.ask(request).await;
        if asked.is_err() {
            // Nobody gives back what a broken connection has taken.
            self.connection = None;
        }
        asked.map_err(|error| broken(&error))
    }

    /// Keeps the connection, on which the last call has ended.
    pub fn into_connection(mut self) -> Option<Connection> {
        self.connection.take()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        match (connection.state(), self.undo) {
            (State::Idle, _) => self.server.give_back(connection),
            (State::Waiting, Some(undo)) if self.server.is_stock() => {
                let (server, ident) = (Arc::clone(&self.server), Arc::clone(&self.ident));
                self.server.in_background(give_back(server, connection, ident, undo));
            }
            // Closing is all that can be done.
            _ => {}
        }
    }
}

/// Waits for the answer that nobody waits for any more, and gives back what it brings.
async fn give_back(server: Arc<Server>, mut connection: Connection, ident: Arc<str>, undo: Undo) {
    let Ok(answer) = connection.answer().await else {
        return;
    };
    let taken = match server.read(&answer) {
        Ok(Answer::Value(taken)) => taken,
        Err(error @ ManagerError::UnreadableAnswer { .. }) => {
            tracing::warn!(%error, "lost what a call took that was given up");
            return server.give_back(connection);
        }
        // It took nothing.
        _ => return server.give_back(connection),
    };
    let calls = match undo {
        // In this order, so that nobody who joins the queue sees it done in between.
        Undo::PutBack => vec![("put", vec![taken]), ("task_done", vec![])],
        Undo::Release if is_acquired(&taken) => vec![("release", vec![])],
        Undo::Release => vec![],
    };
    for (method, args) in calls {
        let done = match server.request(Some(&ident), method, args, vec![]) {
            Ok(request) => connection.ask(&request).await.map_err(|error| broken(&error)),
            Err(error) => Err(error),
        };
        if let Err(error) = done.and_then(|answer| server.read_value(&answer)) {
            tracing::warn!(%error, method, "could not give back what a call took that was given up");
            break;
        }
    }
    server.give_back(connection);
}

/// Whether an `acquire` has acquired: 2.7 answers 1 for a lock that is taken again.
pub(crate) fn is_acquired(answer: &Value) -> bool {
    answer.as_i64() == Some(1)
}
