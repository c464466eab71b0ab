//! Lists, maps and other things with items.

use spinneret::manager::{
    ManagerError,
    pickle::ExceptionKind,
    proxy::{Dict, List},
};

use crate::{ends::each, raised};

#[test]
fn a_list_does_what_python_s_does() {
    each(|end| {
        let list: List<String> = end.client().new_list(&["b".into(), "ж".into()]).unwrap();
        list.append(&"a".into()).unwrap();
        list.extend(&["d".into(), "a".into()]).unwrap();
        list.insert(0, &"z".into()).unwrap();
        assert_eq!(list.to_vec().unwrap(), ["z", "b", "ж", "a", "d", "a"]);
        assert_eq!(list.len().unwrap(), 6);
        assert_eq!(list.get(0).unwrap().as_deref(), Some("z"));
        assert_eq!(list.get(-1).unwrap().as_deref(), Some("a"));
        assert_eq!(list.get(6).unwrap(), None);
        assert_eq!(list.slice(1..3).unwrap(), ["b", "ж"]);
        assert_eq!(list.slice(5..99).unwrap(), ["a"]);
        assert!(list.contains(&"ж".into()).unwrap() && !list.contains(&"q".into()).unwrap());
        assert_eq!(list.count(&"a".into()).unwrap(), 2);
        assert_eq!(list.position(&"a".into()).unwrap(), Some(3));
        assert_eq!(list.position(&"q".into()).unwrap(), None);
        assert!(list.remove(&"a".into()).unwrap() && !list.remove(&"q".into()).unwrap());
        list.set(0, &"y".into()).unwrap();
        assert_eq!(raised(list.set(9, &"y".into())), ExceptionKind::IndexError);
        list.reverse().unwrap();
        assert_eq!(list.to_vec().unwrap(), ["a", "d", "ж", "b", "y"]);
        list.sort().unwrap();
        assert_eq!(list.to_vec().unwrap(), ["a", "b", "d", "y", "ж"]);
        list.remove_range(1..3).unwrap();
        assert_eq!(list.pop_at(0).unwrap().as_deref(), Some("a"));
        assert_eq!(list.pop().unwrap().as_deref(), Some("ж"));
        assert_eq!(
            list.as_proxy().repr().unwrap(),
            if end.is_python_2() { "[u'y']" } else { "['y']" }
        );
        list.clear().unwrap();
        assert_eq!((list.pop().unwrap(), list.len().unwrap()), (None, 0));
    });
}

#[test]
fn a_map_does_what_python_s_does() {
    each(|end| {
        let dict: Dict<(String, u8), Option<Vec<f64>>> =
            end.client().new_dict(&[(("a".into(), 1), None)]).unwrap();
        let key = |text: &str| (text.to_owned(), 1);
        dict.insert(&key("b"), &Some(vec![0.5])).unwrap();
        dict.extend(&[(key("c"), Some(vec![])), (key("a"), Some(vec![1.0]))]).unwrap();
        assert_eq!(dict.len().unwrap(), 3);
        assert_eq!(dict.get(&key("a")).unwrap(), Some(Some(vec![1.0])));
        assert_eq!(dict.get(&key("q")).unwrap(), None);
        assert!(dict.contains_key(&key("b")).unwrap() && !dict.contains_key(&key("q")).unwrap());
        assert_eq!(dict.get_or_insert(&key("b"), &None).unwrap(), Some(vec![0.5]));
        assert_eq!(dict.get_or_insert(&key("d"), &None).unwrap(), None);
        let mut keys = dict.keys().unwrap();
        keys.sort_unstable();
        assert_eq!(keys, ["a", "b", "c", "d"].map(key));
        assert_eq!(dict.values().unwrap().len(), 4);
        assert_eq!(dict.to_vec().unwrap().len(), 4);
        assert_eq!(dict.remove(&key("b")).unwrap(), Some(Some(vec![0.5])));
        assert_eq!(dict.remove(&key("b")).unwrap(), None);
        assert!(dict.pop().unwrap().is_some());
        dict.clear().unwrap();
        assert_eq!((dict.pop().unwrap(), dict.len().unwrap()), (None, 0));
    });
}

#[test]
fn a_key_that_cannot_be_hashed_is_refused() {
    each(|end| {
        let dict: Dict<Vec<u8>, u8> = end.client().new_dict(&[]).unwrap();
        assert_eq!(raised(dict.insert(&vec![1], &1)), ExceptionKind::TypeError);
    });
}

#[test]
fn a_value_is_shared() {
    each(|end| {
        let value = end.client().new_value("i", &3).unwrap();
        assert_eq!(value.get().unwrap(), 3);
        value.set(&-7).unwrap();
        assert_eq!(value.clone().get().unwrap(), -7);
        let text = end.client().new_value("c", &"ж".to_owned()).unwrap();
        assert_eq!(text.get().unwrap(), "ж");
    });
}

#[test]
fn an_array_keeps_numbers_of_its_type() {
    each(|end| {
        let array = end.client().new_array("h", &[1, -2, 3]).unwrap();
        array.set(-1, &300).unwrap();
        assert_eq!(array.len().unwrap(), 3);
        assert_eq!((array.get(2).unwrap(), array.get(3).unwrap()), (Some(300), None));
        assert_eq!(array.to_vec().unwrap(), [1, -2, 300]);
        assert_eq!(array.slice(1..9).unwrap(), [-2, 300]);
        assert_eq!(raised(array.set(0, &40_000)), ExceptionKind::OverflowError);
        assert_eq!(raised(array.set(3, &1)), ExceptionKind::IndexError);
        let floats = end.client().new_array("d", &[0.5, -1e300]).unwrap();
        assert_eq!(floats.to_vec().unwrap(), [0.5, -1e300]);
        let made = end.client().new_array("h", &[1 << 20]);
        assert_eq!(raised(made), ExceptionKind::OverflowError);
    });
}

#[test]
fn a_namespace_has_values_of_any_type() {
    each(|end| {
        let space = end.client().new_namespace().unwrap();
        space.set("url", "http://пример/").unwrap();
        space.set("depth", 3).unwrap();
        assert_eq!(space.get::<String>("url").unwrap().as_deref(), Some("http://пример/"));
        assert_eq!(space.get::<u8>("depth").unwrap(), Some(3));
        assert_eq!(space.get::<u8>("nothing").unwrap(), None);
        let wrong = space.get::<u8>("url").unwrap_err();
        assert!(matches!(wrong, ManagerError::UndecodableValue { .. }), "{wrong:?}");
        assert!(space.remove("url").unwrap() && !space.remove("url").unwrap());
        assert_eq!(space.get::<String>("url").unwrap(), None);
    });
}
