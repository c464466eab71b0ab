use super::*;
use crate::manager::python::object::{Answer, Call, Outcome};

/// An object that tells when it is dropped, and is a list of what it was made with.
struct Held {
    items: Vec<Value>,
    _here: Arc<()>,
}

impl Object for Held {
    fn exposed(&self, _: Dialect) -> Vec<&str> {
        Vec::new()
    }

    fn call(self: Arc<Self>, _: &str, _: Call) -> Answer {
        Outcome::NoSuchMethod.into()
    }

    fn repr(&self, _: Dialect) -> String {
        "<held>".into()
    }

    fn value(&self, _: Dialect) -> Option<Value> {
        (!self.items.is_empty()).then(|| Value::list(self.items.iter().cloned()))
    }
}

/// A new object with one reference, and what tells that it is there.
fn held(objects: &Objects, items: Vec<Value>) -> (Ident, Weak<()>) {
    let here = Arc::new(());
    let there = Arc::downgrade(&here);
    (objects.share(Arc::new(Held { items, _here: here })), there)
}

fn is(there: &Weak<()>) -> bool {
    there.strong_count() > 0
}

/// A proxy as a client writes it.
fn proxy_for(ident: &str) -> Value {
    let module = "multiprocessing.managers";
    let token = proxy::token("list", ([127, 0, 0, 1], 1).into(), ident);
    let args =
        [Value::global(module, "ListProxy"), token, Value::native("pickle"), Value::dict([])];
    Value::reduce(Value::global(module, "RebuildProxy"), args)
}

/// What a message with the value in it is read as.
fn received(objects: &Objects, value: &Value) -> Value {
    let message = Value::tuple([value.clone()]).write(Dialect::Python38).unwrap();
    let read = objects.read(message.into(), &Limits::default()).unwrap();
    read.items().unwrap().next().unwrap().to_value()
}

#[test]
fn an_object_goes_with_its_last_reference() {
    let objects = Objects::new();
    let (ident, there) = held(&objects, Vec::new());
    assert!(objects.incref(&ident) && objects.decref(&ident) && is(&there));
    assert_eq!(objects.count(), 1);
    assert!(objects.decref(&ident) && !is(&there));
    assert_eq!(objects.count(), 0);
    assert!(!objects.incref(&ident) && !objects.decref(&ident));
    assert!(objects.get(&ident).is_none());
    assert_ne!(held(&objects, Vec::new()).0, ident, "idents are not used again");
}

#[test]
fn what_is_published_stays_without_references() {
    let objects = Objects::new();
    let here = Arc::new(());
    let ident = objects.publish(Arc::new(Held { items: Vec::new(), _here: here }));
    assert_eq!(objects.count(), 0);
    assert!(!objects.decref(&ident), "there was none");
    assert!(objects.incref(&ident) && objects.decref(&ident) && objects.get(&ident).is_some());
}

#[test]
fn a_proxy_in_a_value_keeps_the_object_for_as_long_as_the_value_is_kept() {
    let objects = Objects::new();
    let (ident, there) = held(&objects, Vec::new());
    let nested = Value::list([Value::dict([(Value::int(1), proxy_for(&ident))])]);
    let value = received(&objects, &nested);
    let payload = objects.pinned(value.write(Dialect::Python2).unwrap(), &value);
    let kept = objects.keep(&value);
    assert!(objects.decref(&ident) && is(&there));
    drop(value);
    assert!(is(&there) && objects.count() == 0);
    drop(kept);
    assert!(is(&there), "a copy of the message's bytes keeps it too");
    let again = payload.clone();
    drop(payload);
    assert!(objects.incref(&ident), "its reader makes a reference of its own");
    drop(again);
    assert!(is(&there));
    assert!(objects.decref(&ident) && !is(&there));
}

#[test]
fn a_value_is_kept_without_the_message_it_came_in() {
    let objects = Objects::new();
    let (ident, there) = held(&objects, Vec::new());
    let value = received(&objects, &Value::tuple([proxy_for(&ident), Value::text("small")]));
    let small = objects.keep(&value.items().unwrap().nth(1).unwrap().to_value());
    objects.decref(&ident);
    drop(value);
    assert!(!is(&there));
    assert_eq!(small.as_str(), Some("small"));
}

#[test]
fn a_proxy_leads_to_its_object_and_others_nowhere() {
    let objects = Objects::new();
    let (ident, _) = held(&objects, Vec::new());
    for dialect in [Dialect::Python2, Dialect::Python3, Dialect::Python38] {
        let message = proxy_for(&ident).write(dialect).unwrap();
        let value = objects.read(message.into(), &Limits::default()).unwrap();
        assert!(objects.resolve(&value).is_some(), "{dialect}");
    }
    for value in [proxy_for("1"), Value::native(&*ident), Value::none()] {
        assert!(objects.resolve(&value).is_none());
    }
}

#[test]
fn python_2_is_given_objects_in_the_place_of_proxies() {
    let objects = Objects::new();
    let (inner, _) = held(&objects, vec![Value::int(7)]);
    let inner_proxy = received(&objects, &proxy_for(&inner));
    let (outer, _) = held(&objects, vec![inner_proxy.clone(), inner_proxy]);
    let value = received(&objects, &Value::tuple([Value::int(1), proxy_for(&outer)]));
    let read = objects.referents(&value, Dialect::Python2).unwrap();
    let text = format!("{read:?}");
    assert!(!text.contains("RebuildProxy"), "{text}");
    let outer = read.items().unwrap().nth(1).unwrap();
    let inner: Vec<_> = outer.items().unwrap().collect();
    assert_eq!(inner.len(), 2);
    for list in inner {
        assert_eq!(list.items().unwrap().next().unwrap().as_i64(), Some(7));
    }
    assert!(read.write(Dialect::Python2).is_ok());

    let (no_value, _) = held(&objects, Vec::new());
    let value = received(&objects, &Value::list([proxy_for(&no_value)]));
    let error = objects.referents(&value, Dialect::Python2).unwrap_err();
    assert_eq!(error.to_string(), "<held> cannot be pickled");
}

#[test]
fn objects_that_have_others_in_them_over_and_over_are_put_in_so_far_and_no_farther() {
    let objects = Objects::new();
    let mut pair = [1, 2].map(|item| held(&objects, vec![Value::int(item)]).0);
    for _ in 0..50 {
        let proxies = pair.map(|ident| received(&objects, &proxy_for(&ident)));
        pair = [(); 2].map(|()| held(&objects, proxies.to_vec()).0);
    }
    let value = received(&objects, &proxy_for(&pair[0]));
    assert!(objects.referents(&value, Dialect::Python2).is_ok());
}

#[test]
fn a_long_chain_of_objects_is_dropped_one_after_the_other() {
    let objects = Objects::new();
    let (mut last, there) = held(&objects, Vec::new());
    for _ in 0..10_000 {
        let (next, _) = held(&objects, vec![received(&objects, &proxy_for(&last))]);
        objects.decref(&last);
        last = next;
    }
    assert!(is(&there));
    objects.decref(&last);
    assert!(!is(&there));
    assert!(objects.list().is_empty());
}
