//! Objects that a program registers, called by name.

use serde::Serialize;
use spinneret::manager::{
    ManagerError,
    pickle::{ExceptionKind, Value},
    proxy::{List, Lock, Proxy},
};

use crate::{
    ends::{End, each, each_dialect, each_python},
    raised,
};

fn shop(end: &End) -> Proxy {
    end.client().object("shop", ()).unwrap()
}

#[test]
fn methods_are_called_with_arguments_by_position_and_by_name() {
    #[derive(Serialize)]
    struct Order {
        what: &'static str,
        number: i64,
    }

    type Ordered = (String, i64, Vec<(String, i64)>);

    each(|end| {
        let shop = shop(end);
        let methods: Vec<&str> = shop.methods().collect();
        assert!(methods.contains(&"order") && !methods.contains(&"_name"), "{methods:?}");
        let tea = |number| ("tea".to_owned(), number, vec![]);
        assert_eq!(shop.call::<Ordered>("order", ("tea",)).unwrap(), tea(1));
        assert_eq!(shop.call::<Ordered>("order", ("tea", 3)).unwrap(), tea(3));
        let order = Order { what: "tea", number: 4 };
        assert_eq!(shop.call::<Ordered>("order", order).unwrap(), tea(4));
        assert_eq!(shop.call::<String>("name", ()).unwrap(), "shop");
    });
}

#[test]
fn exceptions_are_known_by_their_class() {
    each(|end| {
        let shop = shop(end);
        let fail = |what: &str| shop.call::<()>("fail", (what,));
        assert_eq!(raised(fail("key")), ExceptionKind::KeyError);
        assert_eq!(raised(fail("index")), ExceptionKind::IndexError);
        let sold = ExceptionKind::Other { module: "__main__".into(), name: "Sold".into() };
        assert_eq!(raised(fail("sold")), sold);
        let error = fail("sold").unwrap_err();
        assert_eq!(error.remote().unwrap().message(), "sold");
        assert!(error.to_string().contains("__main__.Sold: sold"), "{error}");

        assert_eq!(raised(shop.call::<()>("order", (1, 2, 3, 4, 5))), ExceptionKind::TypeError);
        assert_eq!(raised(shop.call::<()>("order", ())), ExceptionKind::TypeError);
        let error = shop.call::<()>("nothing", ()).unwrap_err();
        let exception = error.remote().unwrap();
        assert_eq!(exception.kind(), &ExceptionKind::KeyError);
        assert!(exception.traceback().unwrap().contains("nothing"), "{error}");
    });
}

#[test]
fn what_python_cannot_pickle_is_told_with_its_reason() {
    each_python(|end| {
        let error = shop(end).call::<()>("unpicklable", ()).unwrap_err();
        assert!(error.to_string().contains("cannot pickle"), "{error}");
        assert_eq!(raised::<()>(Err(error)), ExceptionKind::RemoteError);
    });
}

#[test]
fn objects_of_unknown_classes_come_and_go_untouched() {
    each(|end| {
        let shop = shop(end);
        let point = shop.call_value("point", vec![], vec![]).unwrap();
        let same = shop.call_value("echo", vec![point.clone()], vec![]).unwrap();
        for point in [point, same] {
            assert!(shop.call::<bool>("is_point", (point,)).unwrap());
        }
    });
}

#[test]
fn a_method_can_give_an_object() {
    each_python(|end| {
        let lock = Lock::from(shop(end).call_object("lock", ()).unwrap());
        let guard = lock.lock().unwrap();
        assert!(lock.try_lock().unwrap().is_none());
        guard.unlock().unwrap();
        let error = shop(end).call::<()>("lock", ()).unwrap_err();
        assert!(error.to_string().contains("call_object"), "{error}");
        let error = shop(end).call_object("name", ()).unwrap_err();
        assert!(matches!(error, ManagerError::Protocol(_)), "{error:?}");
    });
}

#[test]
fn an_object_is_made_with_arguments() {
    each_python(|end| {
        let shop = end.client().object("Shop", ("kiosk",)).unwrap();
        assert_eq!(shop.call::<String>("name", ()).unwrap(), "kiosk");
        assert_eq!(shop.typeid(), "Shop");
        let made = end.client().object("Shop", (1, 2, 3));
        assert_eq!(raised(made), ExceptionKind::TypeError);
    });
    each(|end| {
        assert_eq!(raised(end.client().object("nothing", ())), ExceptionKind::KeyError);
    });
}

#[test]
fn arguments_that_are_none_are_refused() {
    let ours = End::ours();
    let error = shop(&ours).call::<()>("fail", "key").unwrap_err();
    assert!(error.to_string().contains("`(x,)`"), "{error}");
}

#[test]
fn values_of_64_mib_pass() {
    const SIZE: usize = 64 << 20;
    each_dialect(|end| {
        let shop = shop(end);
        let big: Value = shop.call("big", (SIZE,)).unwrap();
        assert_eq!(shop.call::<usize>("size", (big,)).unwrap(), SIZE);
    });
}

#[test]
fn a_proxy_goes_to_another_program_in_a_queue() {
    each(|end| {
        // There, the value is the object itself, and a list would be copied.
        if end.is_python_2() {
            return;
        }
        let (client, other) = (end.client(), end.client());
        let list = client.new_list::<String>(&[]).unwrap();
        client.queue("tasks").put(list.as_proxy().to_value()).unwrap();
        let received = other.queue::<Value>("tasks").get().unwrap();
        let same = List::<String>::from(other.received(&received).unwrap());
        assert_eq!(same.as_proxy().typeid(), "list");
        assert!(same.as_proxy().methods().any(|method| method == "append"));
        drop(list);
        same.append(&"ж".into()).unwrap();

        client.queue("tasks").put(same.as_proxy().to_value()).unwrap();
        run(end, &format!("print(m.tasks().get().append({:?}))", "of Python"));
        assert_eq!(same.to_vec().unwrap(), ["ж", "of Python"]);

        let error = other.received(&Value::int(1)).unwrap_err();
        assert!(error.to_string().contains("no proxy"), "{error}");
    });
}

#[test]
fn an_object_lives_as_long_as_its_proxies() {
    each(|end| {
        let client = end.client();
        let list = client.new_list(&[1]).unwrap();
        let again = list.clone();
        await_objects(end, 1);
        drop(list);
        assert_eq!(again.get(0).unwrap(), Some(1));
        await_objects(end, 1);
        drop(again);
        await_objects(end, 0);
    });
}

/// Waits until the server counts so many objects, as Python asks it to.
fn await_objects(end: &End, number: usize) {
    let script = format!(
        "import time\n\
         end = time.time() + 60\n\
         while m._number_of_objects() != {number}:\n    \
             assert time.time() < end\n    \
             time.sleep(0.01)\n",
    );
    run(end, &script);
}

/// Runs a program of Python with a connected manager `m`.
fn run(end: &End, program: &str) {
    let script = format!(
        "import multiprocessing\n\
         from multiprocessing.managers import SyncManager\n\
         multiprocessing.current_process().authkey = b'qiye'\n\
         SyncManager.register('tasks')\n\
         host, port = '{}'.split(':')\n\
         m = SyncManager((host, int(port)), b'qiye')\n\
         m.connect()\n\
         {program}",
        end.address(),
    );
    let output = end.a_python().command().args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
