use tokio::net::TcpListener;

use super::*;
use crate::manager::{
    Client, ManagerError, QueueOptions, TlsClient, TlsError, TlsServer,
    strangers::Strangers,
    tls,
    wire::{Name, Wait},
};

/// A peer of another machine, as far as the session is told.
const FAR: &str = "192.0.2.7:1234";

fn limits(hub: &Arc<Hub>, tls: Policy) -> Limits {
    let python = python::Server::new(hub, ([127, 0, 0, 1], 0).into(), 1 << 20, None);
    Limits {
        key: AuthKey::new("qiye"),
        python: Arc::new(python),
        allow_md5: false,
        max_frame: 1 << 20,
        handshake: Duration::from_secs(30),
        silence: Duration::from_secs(30),
        tls,
    }
}

/// What becomes of a client that seems to come from elsewhere.
async fn meet(policy: Policy, client: Option<TlsClient>) -> Result<Client, ManagerError> {
    let hub = Arc::new(Hub::new(1 << 20));
    let limits = Arc::new(limits(&hub, policy));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let far: SocketAddr = FAR.parse().unwrap();
        let stranger = Strangers::new(1).admit(far.ip());
        // Dropped, the sender would be no sign to stop.
        let stop = watch::Sender::new(false);
        serve(hub, limits, stream, far, stranger, stop.subscribe()).await;
    });
    let builder = match client {
        Some(tls) => Client::builder().tls(tls),
        None => Client::builder(),
    };
    let client = builder.connect_async(address, &AuthKey::new("qiye")).await?;
    client.ping_async().await?;
    Ok(client)
}

#[tokio::test]
async fn peers_of_other_machines_need_tls_where_there_is_some() {
    let folder = tempfile::tempdir().unwrap();
    let files = tls::generate(folder.path()).unwrap();
    let policy = |allow_plaintext| Policy {
        tls: Some(TlsServer::new(&files.cert, &files.key).load().unwrap()),
        allow_plaintext,
    };
    let error = meet(policy(false), None).await.unwrap_err();
    assert!(matches!(error, ManagerError::Tls(TlsError::Required { .. })), "{error:?}");
    assert!(error.to_string().contains("ca.pem"), "{error}");
    meet(policy(true), None).await.unwrap();
    meet(policy(false), Some(TlsClient::new(&files.ca))).await.unwrap();
    meet(Policy { tls: None, allow_plaintext: false }, None).await.unwrap();
}

#[tokio::test]
async fn of_a_put_that_is_refused_as_one_too_many_nothing_is_taken_in() {
    let hub = Arc::new(Hub::new(1 << 20));
    let limits = limits(&hub, Policy { tls: None, allow_plaintext: false });
    let mut session = Session::new(&hub, &limits, 1);
    let queue = Name::sought("q");
    let options = QueueOptions::new().maxsize(1);
    hub.call(1, Request::Register { queue: queue.clone(), options }).await;
    session.waiting.add(9, MOST_WAITING_BYTES, Box::pin(pending()));
    // One of them has room, the other would have to wait.
    let items = vec!["a".into(), "b".into()];
    let put = Request::Put { queue: queue.clone(), wait: Wait::Forever, items };
    session.answer_in_time(1, put, 100).await.unwrap();
    let stats = hub.call(1, Request::Stats { queue: queue.clone() }).await;
    assert!(matches!(stats, Reply::Stats(stats) if stats.puts == 0), "{stats:?}");
    assert_eq!(session.waiting.count(), 1, "as before");
    // Whoever only waits for items brings nothing.
    let lease = Request::Lease { queue, max: 1, hold: None, wait: Wait::Forever };
    session.answer_in_time(2, lease, 100).await.unwrap();
    assert_eq!(session.waiting.count(), 2);
}

#[tokio::test]
async fn a_put_that_waits_is_counted_for_what_its_empty_items_take_in_memory() {
    let hub = Arc::new(Hub::new(1 << 20));
    let limits = limits(&hub, Policy { tls: None, allow_plaintext: false });
    let mut session = Session::new(&hub, &limits, 1);
    let queue = Name::sought("q");
    let options = QueueOptions::new().maxsize(1);
    hub.call(1, Request::Register { queue: queue.clone(), options }).await;
    let items = vec![Default::default(); 10_000];
    let put = Request::PutWith { queue, wait: Wait::Forever, items };
    session.answer_in_time(1, put, 50_000).await.unwrap();
    assert_eq!(session.waiting.count(), 1);
    assert!(session.waiting.weight() > 1_000_000, "{}", session.waiting.weight());
}

#[test]
fn a_request_is_small() {
    // Each that may wait is on the heap as a whole, where 1 KiB is the limit for what is cheap.
    let hub = Hub::new(1 << 20);
    let request = Request::Join { queue: Name::sought("q"), wait: Wait::No };
    let call = hub.call(1, request);
    assert!(size_of_val(&call) <= 900, "{} bytes", size_of_val(&call));
}

#[test]
fn an_idle_session_is_small() {
    // What 10,000 idle connections have in memory beside their sockets: with queues, buffers and
    // the rest of the bookkeeping it is to stay below 20 KiB.
    let hub = Arc::new(Hub::new(1 << 20));
    let limits = limits(&hub, Policy { tls: None, allow_plaintext: false });
    let session = Session::new(&hub, &limits, 1);
    let stop = watch::Sender::new(false);
    let run = session.run(tokio::io::empty(), tokio::io::sink(), stop.subscribe());
    assert!(size_of_val(&run) <= 6144, "{} bytes", size_of_val(&run));
}
