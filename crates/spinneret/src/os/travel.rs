//! Objects in shared memory travel as their descriptors.

/// Implements `Serialize` and `Deserialize` for a handle with the methods `fd(&self) ->
/// &Arc<OwnedFd>` and `adopt(OwnedFd) -> Result<Self, E>`, `E` being `Display`.
macro_rules! travels {
    ($handle:ident $(<$t:ident: $bound:path>)?) => {
        impl $(<$t: $bound>)? ::serde::Serialize for $handle $(<$t>)? {
            fn serialize<S: ::serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $crate::process::attachment::attach(self.fd(), to)
            }
        }

        impl<'de, $($t: $bound)?> ::serde::Deserialize<'de> for $handle $(<$t>)? {
            fn deserialize<D: ::serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let fd = $crate::process::attachment::detach(from)?;
                Self::adopt(fd).map_err(::serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use travels;
