//! How a queue goes to another process: as a value among others.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::backend::Core;
use super::face::Queue;

/// As an argument of a task, or in a message to another process.
impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (std::any::type_name::<T>(), Attached(self.core())).serialize(serializer)
    }
}

struct Attached<'a>(&'a Core);

impl Serialize for Attached<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.depart(serializer)
    }
}

struct Detached(Core);

impl<'de> Deserialize<'de> for Detached {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Core::arrive(deserializer).map(Self)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (found, Detached(core)) = <(String, Detached)>::deserialize(deserializer)?;
        let expected = std::any::type_name::<T>();
        if found != expected {
            return Err(D::Error::custom(format!(
                "a queue of {found} where one of {expected} is expected"
            )));
        }
        Ok(Self::of(core))
    }
}
