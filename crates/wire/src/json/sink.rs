//! Where JSON goes: into bytes that stay together, or that are handed on piece by piece.

use std::convert::Infallible;

/// Takes what is written.
///
/// Two bodies: a vector, which keeps all, and the server's, which sends what it has whenever that is enough.
pub trait Sink {
    /// Why bytes could not be handed on.
    type Error;

    /// Where to write now; bytes are only ever added.
    fn bytes(&mut self) -> &mut Vec<u8>;

    /// Says that the bytes so far may be handed on. It is called after each sample, label set and string.
    fn pause(&mut self) -> Result<(), Self::Error>;
}

impl Sink for Vec<u8> {
    type Error = Infallible;

    fn bytes(&mut self) -> &mut Vec<u8> {
        self
    }

    #[inline]
    fn pause(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Writes `[`, the items with commas between them, and `]`, with a pause after each.
pub fn write_array<T, S: Sink>(
    items: impl IntoIterator<Item = T>,
    into: &mut S,
    mut write: impl FnMut(T, &mut S) -> Result<(), S::Error>,
) -> Result<(), S::Error> {
    into.bytes().push(b'[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            into.bytes().push(b',');
        }
        write(item, into)?;
        into.pause()?;
    }
    into.bytes().push(b']');
    Ok(())
}
