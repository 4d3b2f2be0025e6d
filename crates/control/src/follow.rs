//! A connection that is only read, and tells whether any other connection has changed the file.

use crate::ControlError;
use crate::schema::File;

/// A file whose content someone keeps in memory.
#[derive(Debug)]
pub(crate) struct Followed {
    /// A connection of its own: SQLite tells it of every other connection's changes, in this process or another.
    file: File,
    /// SQLite's count of such changes when the content was last read.
    data_version: i64,
}

impl Followed {
    /// Follows `file`, and reads it for the first time.
    pub(crate) fn open<T>(
        file: File,
        read: impl FnOnce(&File) -> Result<T, ControlError>,
    ) -> Result<(Followed, T), ControlError> {
        let data_version = data_version(&file)?;
        let content = read(&file)?;
        Ok((Followed { file, data_version }, content))
    }

    /// Reads the file again if it has changed. Cost: one look at the file's header when nothing changed.
    pub(crate) fn read_changes<T>(
        &mut self,
        read: impl FnOnce(&File) -> Result<T, ControlError>,
    ) -> Result<Option<T>, ControlError> {
        // Before the content: a change in between is seen by the next look.
        let found = data_version(&self.file)?;
        if found == self.data_version {
            return Ok(None);
        }
        let content = read(&self.file)?;
        self.data_version = found;
        Ok(Some(content))
    }
}

fn data_version(file: &File) -> Result<i64, ControlError> {
    file.connection.pragma_query_value(None, "data_version", |row| row.get(0)).map_err(file.sqlite())
}
