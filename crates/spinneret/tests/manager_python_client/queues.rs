//! Queues of Python servers by the face of our own.

use std::{collections::BTreeMap, thread, time::Duration};

use serde::{Deserialize, Serialize};
use spinneret::manager::{
    Client, GetError, ManagerError, PutError, Queue, QueueOptions, pickle::Value, proxy::List,
};

use crate::{
    LONG, SHORT,
    ends::{End, each, each_dialect, each_python},
    eventually, key,
};

#[test]
fn items_come_out_in_the_order_they_went_in() {
    each(|end| {
        let queue = end.client().queue::<String>("tasks");
        for item in ["a", "б", ""] {
            queue.put(item.into()).unwrap();
        }
        queue.put_many(vec!["d".into(), "e".into(), "f".into()]).unwrap();
        assert_eq!(queue.len().unwrap(), 6);
        assert_eq!(queue.get().unwrap(), "a");
        assert_eq!(queue.try_get().unwrap(), "б");
        assert_eq!(queue.get_timeout(LONG).unwrap(), "");
        assert_eq!(queue.get_many(2, LONG).unwrap(), ["d", "e"]);
        assert_eq!(queue.get_many(9, LONG).unwrap(), ["f"]);
        assert_eq!(queue.len().unwrap(), 0);
    });
}

#[test]
fn a_full_queue_gives_the_item_back_and_an_empty_one_none() {
    each(|end| {
        let queue = end.client().queue::<u8>("narrow");
        let full = queue.put_many_timeout(vec![1, 2, 3, 4], SHORT).unwrap_err();
        assert!(matches!(&full, PutError::Full(rest) if rest == &[3, 4]), "{full:?}");
        assert!(matches!(queue.try_put(3), Err(PutError::Full(3))));
        assert!(matches!(queue.put_timeout(3, SHORT), Err(PutError::Full(3))));
        assert_eq!(queue.get_many(9, SHORT).unwrap(), [1, 2]);
        assert!(matches!(queue.try_get(), Err(GetError::Empty)));
        assert!(matches!(queue.get_timeout(SHORT), Err(GetError::Empty)));
        assert!(matches!(queue.get_many(3, SHORT), Err(GetError::Empty)));
    });
}

#[test]
fn waiting_puts_and_gets_end_when_they_can() {
    each(|end| {
        let (here, there) = (end.client().queue::<u32>("narrow"), end.client().queue("narrow"));
        let receiver = thread::spawn(move || (0..100).map(|_| there.get().unwrap()).collect());
        for item in 0..100 {
            here.put(item).unwrap();
        }
        let taken: Vec<u32> = receiver.join().unwrap();
        assert!(taken.into_iter().eq(0..100));
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Image {
    url: String,
    size: Option<(u32, u32)>,
    tags: BTreeMap<String, Vec<f64>>,
    big: i128,
    #[serde(with = "serde_bytes")]
    thumbnail: Vec<u8>,
}

#[test]
fn structs_and_what_is_in_them_come_back_equal() {
    let image = Image {
        url: "http://пример/1.png".into(),
        size: Some((640, 480)),
        tags: [("глубина".into(), vec![0.1, -2e300]), (String::new(), vec![])].into(),
        big: -(1 << 100),
        thumbnail: (0..=255).collect(),
    };
    each(|end| {
        let queue = end.client().queue("tasks");
        for item in [Some(image.clone()), None, Some(Image { size: None, ..image.clone() })] {
            queue.put(item.clone()).unwrap();
            assert_eq!(queue.get().unwrap(), item);
        }
    });
}

#[test]
fn an_item_of_64_mib_passes() {
    let item = serde_bytes::ByteBuf::from(vec![7; 64 << 20]);
    each_dialect(|end| {
        let queue = end.client().queue("tasks");
        queue.put(item.clone()).unwrap();
        assert!(queue.get().unwrap() == item);
    });
}

#[test]
fn join_waits_for_what_was_got_until_it_is_done() {
    each_python(|end| {
        let queue = end.client().queue::<u8>("tasks");
        queue.join().unwrap();
        queue.put_many(vec![1, 2]).unwrap();
        queue.get_many(2, LONG).unwrap();
        assert!(!queue.join_timeout(SHORT).unwrap());
        queue.task_done_after_get().unwrap();
        queue.task_done_after_get().unwrap();
        assert!(queue.join_timeout(LONG).unwrap());
        let error = queue.task_done_after_get().unwrap_err();
        assert!(matches!(&error, ManagerError::TaskDoneTooOften { name } if name == "tasks"));
    });
    let ours = End::ours();
    let queue = ours.client().queue::<u8>("tasks");
    queue.put(1).unwrap();
    queue.get().unwrap();
    assert!(queue.join_timeout(LONG).unwrap());
    queue.task_done_after_get().unwrap();
}

#[test]
fn a_new_queue_is_one_of_python_s_wherever_it_is() {
    each(|end| {
        let queue = end.client().new_queue::<(u8, String)>(1).unwrap();
        queue.put((1, "x".into())).unwrap();
        assert!(matches!(queue.try_put((2, "y".into())), Err(PutError::Full(_))));
        assert_eq!(queue.get().unwrap(), (1, "x".into()));
        assert!(!queue.join_timeout(SHORT).unwrap());
        queue.task_done_after_get().unwrap();
        queue.join().unwrap();
        let error = queue.task_done_after_get().unwrap_err();
        assert!(matches!(error, ManagerError::TaskDoneTooOften { .. }), "{error}");
    });
}

#[test]
fn a_proxy_of_a_queue_is_a_queue() {
    each(|end| {
        let client = end.client();
        let queue: Queue<u8> = client.object("narrow", ()).unwrap().into();
        client.queue("narrow").put(7).unwrap();
        assert_eq!((queue.len().unwrap(), queue.get().unwrap()), (1, 7));
    });
}

#[test]
fn a_queue_is_closed_where_python_can_do_that() {
    each(|end| {
        let queue = end.client().queue::<u8>("tasks");
        queue.put(1).unwrap();
        if !end.closes_queues() {
            let error = queue.close().unwrap_err();
            assert!(error.to_string().contains("closing a queue"), "{error}");
            return;
        }
        queue.close().unwrap();
        assert!(matches!(queue.put(2), Err(PutError::Closed(2))));
        assert_eq!(queue.get().unwrap(), 1);
        assert!(matches!(queue.get(), Err(GetError::Closed)));
    });
}

#[test]
fn what_is_no_item_is_kept_in_the_error_or_in_the_queue() {
    each_python(|end| {
        let client = end.client();
        let (texts, numbers) = (client.queue::<String>("tasks"), client.queue::<u8>("tasks"));
        texts.put("x".into()).unwrap();
        let Err(GetError::Undecodable(error)) = numbers.get() else { panic!("no number") };
        assert_eq!(spinneret::manager::pickle::from_bytes::<String>(&error.bytes).unwrap(), "x");
        assert_eq!(texts.len().unwrap(), 0);

        texts.put("y".into()).unwrap();
        numbers.put(1).unwrap();
        assert_eq!(numbers.get_many(2, LONG).unwrap(), [1]);
        assert_eq!(texts.get_timeout(LONG).unwrap(), "y", "one of several goes back");

        texts.put_many(vec!["a".into(), "b".into(), "c".into()]).unwrap();
        let Err(GetError::Undecodable(error)) = numbers.get_many(3, LONG) else { panic!("none") };
        assert_eq!(error.read::<String>().unwrap(), "a");
        let mut others = [texts.get_timeout(LONG).unwrap(), texts.get_timeout(LONG).unwrap()];
        others.sort_unstable();
        assert_eq!(others, ["b", "c"], "all but the one in the error go back");
        assert!(matches!(texts.get_timeout(SHORT), Err(GetError::Empty)));
    });
}

#[test]
fn what_is_no_item_can_be_put_back_as_what_it_is() {
    each(|end| {
        let client = end.client();
        let (shop, values) = (client.object("shop", ()).unwrap(), client.queue::<Value>("tasks"));
        values.put(shop.call_value("point", vec![], vec![]).unwrap()).unwrap();
        let Err(GetError::Undecodable(error)) = client.queue::<u8>("tasks").get() else {
            panic!("an object of a class is no number")
        };
        assert!(error.read::<String>().is_err());
        values.put(error.read().unwrap()).unwrap();
        let again = vec![values.get().unwrap()];
        let is_point = shop.call_value("is_point", again, vec![]).unwrap();
        assert_eq!(is_point.as_bool(), Some(true));
    });
}

#[test]
fn an_item_that_nothing_here_can_read_is_in_the_error() {
    each_python(|end| {
        let client = end.client();
        let shop = client.object("shop", ()).unwrap();
        let texts = client.queue::<String>("tasks");
        texts.put("x".into()).unwrap();
        shop.call::<()>("put_coded", ()).unwrap();
        let error = texts.get_many(2, LONG).unwrap_err();
        let GetError::Manager(ManagerError::UnreadableAnswer { answer, .. }) = error else {
            panic!("{error:?}")
        };
        // The code of its class, which only that program knows: EXT2 1000.
        assert!(answer.windows(3).any(|bytes| bytes == b"\x83\xe8\x03"), "{answer:?}");
        assert_eq!(texts.get_timeout(LONG).unwrap(), "x", "what came before it goes back");
        assert!(matches!(texts.get_timeout(SHORT), Err(GetError::Empty)));
    });
}

#[test]
fn what_a_list_gave_up_that_is_no_item_is_in_the_error() {
    each(|end| {
        let texts = end.client().new_list(&["x".to_owned()]).unwrap();
        let numbers: List<u8> = texts.as_proxy().clone().into();
        let error = numbers.pop().unwrap_err();
        let ManagerError::UndecodableValue { bytes, .. } = &error else { panic!("{error:?}") };
        assert_eq!(spinneret::manager::pickle::from_bytes::<String>(bytes).unwrap(), "x");
        assert_eq!(texts.len().unwrap(), 0);
    });
}

#[test]
fn what_a_python_server_cannot_do_is_said() {
    each_python(|end| {
        let client = end.client();
        let queue = client.queue::<u8>("tasks");
        let unsupported = |what: &str, error: ManagerError| {
            assert!(matches!(error, ManagerError::Unsupported { .. }), "{error:?}");
            assert!(error.to_string().contains(what), "{error}");
        };
        let Err(GetError::Manager(error)) = queue.lease_timeout(LONG, SHORT) else {
            panic!("it leased")
        };
        unsupported("leasing", error);
        unsupported("numbers", queue.stats().unwrap_err());
        unsupported("dead letters", queue.dead(1).unwrap_err());
        unsupported("listing", client.queues().unwrap_err());
        unsupported("named values", client.set_value("x", &1).unwrap_err());
        unsupported("by name", client.register("x", QueueOptions::new()).unwrap_err());
        unsupported("removing", client.remove("tasks").unwrap_err());
    });
}

#[test]
fn an_unknown_queue_is_named() {
    each(|end| {
        let error = end.client().queue::<u8>("nowhere").try_put(1).unwrap_err();
        let PutError::Manager { error, .. } = error else { panic!("{error:?}") };
        assert!(
            matches!(&error, ManagerError::UnknownQueue { name } if name == "nowhere"),
            "{error:?}"
        );
    });
}

/// A future that was polled once, and then dropped.
async fn begun<T>(future: impl Future<Output = T>) {
    drop(tokio::time::timeout(Duration::from_millis(100), future).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_that_is_dropped_loses_no_item() {
    for python in crate::pythons::all() {
        let end = End::python(python);
        let client = Client::connect_async(end.address(), &key()).await.unwrap();
        let queue: Queue<u8> = client.queue("tasks");
        begun(queue.get_async()).await;
        begun(queue.get_many_async(3, LONG)).await;
        for item in 0..4 {
            queue.put_async(item).await.unwrap();
        }
        let mut left: Vec<u8> = Vec::new();
        while left.len() < 4 {
            left.push(queue.get_timeout_async(LONG).await.unwrap());
        }
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2, 3], "{:?}", python.version);
        // What went back and was got again counts once.
        for _ in 0..4 {
            queue.task_done_after_get_async().await.unwrap();
        }
        assert!(queue.join_timeout_async(LONG).await.unwrap(), "{:?}", python.version);
        let error = queue.task_done_after_get_async().await.unwrap_err();
        assert!(matches!(error, ManagerError::TaskDoneTooOften { .. }), "{error}");
        eventually("nothing is left over", || {
            let queue = end.client().queue::<u8>("tasks");
            queue.len().unwrap() == 0
        });
    }
}
