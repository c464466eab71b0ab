//! Four processes add to one shared value and to each cell of a shared array, and lose nothing.

use std::error::Error;

use spinneret::process::Process;
use spinneret::shared::{Array, OwnerDied, Value};

#[spinneret::task]
fn add(value: Value<u64>, array: Array<u64>) {
    for _ in 0..1000 {
        *value.lock().unwrap_or_else(OwnerDied::into_inner) += 1;
        for cell in &mut *array.lock().unwrap_or_else(OwnerDied::into_inner) {
            *cell += 1;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (value, array) = (Value::new(0)?, Array::new(10, 0)?);
    let children = (0..4)
        .map(|_| Process::new(add, (value.clone(), array.clone())))
        .collect::<Result<Vec<_>, _>>()?;
    for child in &children {
        child.start()?;
    }
    for child in &children {
        child.join()?;
    }
    println!("value: {}", value.get().unwrap_or_else(|died| *died.into_inner()));
    println!("array: {:?}", &*array.lock().unwrap_or_else(OwnerDied::into_inner));
    Ok(())
}
