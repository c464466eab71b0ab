//! The example of shared memory.

use super::run;

#[test]
fn value_array_loses_no_addition() {
    let (lines, _) = run("value_array");
    let array = ["4000"; 10].join(", ");
    assert_eq!(lines, ["value: 4000".to_owned(), format!("array: [{array}]")]);
}
