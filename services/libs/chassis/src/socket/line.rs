//! The TCP connection under a WebSocket, to hang up by ourselves.
//!
//! The HTTP server waits up to a second before it closes a connection whose request it has not seen the end of, which is
//! every WebSocket; and clients wait for the server to close (RFC 6455, 7.1.1). With a second descriptor of the same
//! connection a session ends it the moment the goodbyes are said, and can cut off a peer that reads nothing.

use std::any::Any;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::rc::Rc;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;

/// A second descriptor of a connection. Clones are the same descriptor.
#[derive(Clone, Debug)]
pub(crate) struct Line(Rc<TcpStream>);

impl Line {
    /// Keeps a descriptor of a new connection, for the requests that come on it.
    pub(crate) fn keep(stream: &dyn Any, data: &mut Extensions) {
        let Some(stream) = stream.downcast_ref::<actix_web::rt::net::TcpStream>() else {
            return;
        };
        match stream.as_fd().try_clone_to_owned() {
            Ok(descriptor) => {
                data.insert(Line(Rc::new(TcpStream::from(descriptor))));
            }
            // Descriptors are scarce, and a session can do without: it only ends later.
            Err(error) => tracing::debug!(%error, "a connection has no second descriptor"),
        }
    }

    /// That of a request's connection.
    pub(super) fn of(request: &HttpRequest) -> Option<Line> {
        request.conn_data::<Line>().cloned()
    }

    /// Says that nothing more will come from us.
    pub(super) fn finish(&self) {
        self.shut(Shutdown::Write);
    }

    /// Ends both directions, whatever is still on its way.
    pub(super) fn cut(&self) {
        self.shut(Shutdown::Both);
    }

    fn shut(&self, how: Shutdown) {
        // A peer that was quicker has left nothing to shut.
        if let Err(error) = self.0.shutdown(how) {
            tracing::trace!(%error, "the connection had ended");
        }
    }
}
