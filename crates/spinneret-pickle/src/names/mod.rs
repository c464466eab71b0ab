//! Names of the standard library in Python 2 and in Python 3.

mod table;

use table::{EXCEPTIONS, MODULES_2_TO_3, MODULES_3_TO_2, Module, NAMES_2_TO_3, NAMES_3_TO_2, Name};

/// The names in Python 3 of what has these in Python 2.
pub(crate) fn to_python3<'a>(module: &'a str, name: &'a str) -> (&'a str, &'a str) {
    if module == "exceptions" && EXCEPTIONS.binary_search(&name).is_ok() {
        return ("builtins", name);
    }
    translate(module, name, NAMES_2_TO_3, MODULES_2_TO_3)
}

/// The names in Python 2 of what has these in Python 3.
pub(crate) fn to_python2<'a>(module: &'a str, name: &'a str) -> (&'a str, &'a str) {
    if module == "builtins" && EXCEPTIONS.binary_search(&name).is_ok() {
        return ("exceptions", name);
    }
    translate(module, name, NAMES_3_TO_2, MODULES_3_TO_2)
}

/// The names that every Python 3 knows of what some call otherwise.
pub(crate) fn in_python3<'a>(module: &'a str, name: &'a str) -> (&'a str, &'a str) {
    match (module, name) {
        // The same class, which 3.6 has only there.
        ("_queue", "Empty") => ("queue", "Empty"),
        names => names,
    }
}

fn translate<'a>(
    module: &'a str,
    name: &'a str,
    names: &[Name],
    modules: &[Module],
) -> (&'a str, &'a str) {
    if let Ok(found) = names.binary_search_by_key(&(module, name), |entry| (entry.0, entry.1)) {
        return (names[found].2, names[found].3);
    }
    match modules.binary_search_by_key(&module, |entry| entry.0) {
        Ok(found) => (modules[found].1, name),
        Err(_) => (module, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(EXCEPTIONS.is_sorted());
        for modules in [MODULES_2_TO_3, MODULES_3_TO_2] {
            assert!(modules.is_sorted_by_key(|entry| entry.0));
        }
        for names in [NAMES_2_TO_3, NAMES_3_TO_2] {
            assert!(names.is_sorted_by_key(|entry| (entry.0, entry.1)));
        }
    }

    #[test]
    fn names_are_translated_as_python_does() {
        for (python2, python3) in [
            (("Queue", "Empty"), ("queue", "Empty")),
            (("__builtin__", "xrange"), ("builtins", "range")),
            (("__builtin__", "set"), ("builtins", "set")),
            (("__builtin__", "unicode"), ("builtins", "str")),
            (("exceptions", "ValueError"), ("builtins", "ValueError")),
            (("multiprocessing", "TimeoutError"), ("multiprocessing.context", "TimeoutError")),
            (("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor")),
            (("thread", "error"), ("_thread", "error")),
            (("my.module", "Class"), ("my.module", "Class")),
        ] {
            assert_eq!(to_python3(python2.0, python2.1), python3);
            assert_eq!(to_python2(python3.0, python3.1), python2);
        }
        assert_eq!(to_python2("_queue", "Empty"), ("Queue", "Empty"));
        assert_eq!(to_python2("builtins", "FileNotFoundError"), ("exceptions", "OSError"));
        assert_eq!(to_python3("exceptions", "StandardError"), ("builtins", "Exception"));
    }
}
