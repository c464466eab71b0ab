use std::sync::Arc;

use super::*;

mod endings;

/// Owners: pools and workers.
const POOL: Owner = 1;
const OTHER: Owner = 2;
const ANNA: Owner = 11;
const BERT: Owner = 12;

const TERMS: Terms = Terms { timeout: None, retries: 0, poison_limit: 3, chunk: 0 };
/// More than any batch has.
const ALL: usize = 1 << 20;

fn key(name: &str) -> TaskKey {
    TaskKey { name: name.into(), signature: 7 }
}

fn order(id: u64, task: &str) -> Order {
    Order { id, task: key(task), args: vec![id as u8].into() }
}

fn died() -> TaskError {
    TaskError::WorkerDied { signal: None, exit_code: None, out_of_memory: false }
}

/// A board and its time.
struct Game {
    board: Board,
    now: Instant,
    /// How many jobs workers say that they want.
    depth: u32,
}

impl Game {
    fn new() -> Self {
        let mut game = Self { board: Board::default(), now: Instant::now(), depth: 0 };
        assert!(game.board.open(POOL, TERMS));
        game
    }

    fn with_terms(terms: Terms) -> Self {
        let mut game = Self { board: Board::default(), now: Instant::now(), depth: 0 };
        assert!(game.board.open(POOL, terms));
        game
    }

    fn enlist(&mut self, worker: Owner, slots: u32, tasks: &[&str]) {
        let recruit = Recruit {
            name: worker.to_string().into(),
            host: Arc::from("here"),
            pid: 9,
            slots,
            tasks: tasks.iter().map(|task| key(task)).collect(),
        };
        assert!(self.board.enlist(worker, recruit, "127.0.0.1:9".parse().unwrap(), self.now));
    }

    fn submit(&mut self, pool: Owner, ids: impl IntoIterator<Item = u64>) {
        let orders = ids.into_iter().map(|id| order(id, "f")).collect();
        assert!(self.board.submit(pool, orders, self.now));
    }

    /// What a worker is given: leases and the one byte of each argument.
    fn fetch(&mut self, worker: Owner) -> Vec<(u64, u64)> {
        match self.board.fetch(worker, ALL) {
            None => Vec::new(),
            Some(ClusterReply::Work { jobs, .. }) => {
                jobs.iter().map(|job| (job.lease, u64::from(job.args[0]))).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn revoked(&mut self, worker: Owner) -> Vec<u64> {
        match self.board.fetch(worker, ALL) {
            None => Vec::new(),
            Some(ClusterReply::Work { revoked, .. }) => revoked,
            other => panic!("{other:?}"),
        }
    }

    fn recalled(&mut self, worker: Owner) -> Vec<u64> {
        match self.board.fetch(worker, ALL) {
            None => Vec::new(),
            Some(ClusterReply::Work { recalled, .. }) => recalled,
            other => panic!("{other:?}"),
        }
    }

    fn jobs(&mut self, worker: Owner) -> Vec<u64> {
        self.fetch(worker).into_iter().map(|(_, job)| job).collect()
    }

    fn report(&mut self, worker: Owner, report: Report) {
        let report = Report { depth: self.depth, ..report };
        assert!(self.board.report(worker, report, self.now));
    }

    fn begin(&mut self, worker: Owner, lease: u64) {
        self.report(worker, Report { begun: vec![lease], ..Report::default() });
    }

    fn end(&mut self, worker: Owner, lease: u64, outcome: Outcome<Bytes>) {
        let took = Duration::from_millis(3);
        let ended = vec![Ended { lease, took, outcome, still_runs: false }];
        self.report(worker, Report { ended, ..Report::default() });
    }

    fn done(&mut self, worker: Owner, lease: u64) {
        self.end(worker, lease, Ok(Bytes::from_static(b"done")));
    }

    fn want(&mut self, worker: Owner, depth: u32) {
        self.depth = depth;
        self.report(worker, Report::default());
    }

    fn news(&mut self, pool: Owner) -> Vec<Event> {
        match self.board.listen(pool, ALL) {
            None => Vec::new(),
            Some(ClusterReply::News { events, .. }) => events,
            other => panic!("{other:?}"),
        }
    }

    /// The numbers of the jobs that have ended.
    fn ended(&mut self, pool: Owner) -> Vec<(u64, bool)> {
        let ended = |event| match event {
            Event::Ended(id, outcome) => Some((id, outcome.is_ok())),
            _ => None,
        };
        self.news(pool).into_iter().filter_map(ended).collect()
    }

    fn assert_empty(&self) {
        assert!(self.board.leases.is_empty() && self.board.hungry.is_empty());
        assert!(self.board.pools.values().all(|pool| pool.jobs.is_empty() && !pool.is_hungry()));
        assert!(self.board.workers.values().all(|worker| worker.leases.is_empty()));
    }
}

#[test]
fn a_job_waits_for_a_worker_and_its_outcome_comes_back() {
    let mut game = Game::new();
    game.submit(POOL, [1]);
    assert_eq!(game.board.stats(game.now).queued, 1);
    game.enlist(ANNA, 1, &["f"]);
    let given = game.fetch(ANNA);
    assert_eq!(given, [(1, 1)]);
    game.begin(ANNA, 1);
    let stats = game.board.stats(game.now + Duration::from_secs(1));
    assert_eq!((stats.queued, stats.running, stats.pools), (0, 1, 1));
    assert_eq!((stats.workers[0].running, stats.workers[0].busy), (1, Duration::from_secs(1)));
    game.done(ANNA, 1);
    assert_eq!(
        game.news(POOL),
        [Event::Begun(1), Event::Ended(1, Ok(Bytes::from_static(b"done")))]
    );
    game.assert_empty();
    let stats = game.board.stats(game.now);
    assert_eq!((stats.workers[0].tasks, stats.workers[0].busy), (1, Duration::from_millis(3)));
}

#[test]
fn jobs_are_given_in_their_order_and_no_more_than_there_are_slots() {
    let mut game = Game::new();
    game.enlist(ANNA, 2, &["f", "g"]);
    let orders = vec![order(1, "f"), order(2, "g"), order(3, "f"), order(4, "g")];
    assert!(game.board.submit(POOL, orders, game.now));
    assert_eq!(game.fetch(ANNA), [(1, 1), (2, 2)]);
    assert_eq!(game.fetch(ANNA), []);
    game.done(ANNA, 2);
    assert_eq!(game.fetch(ANNA), [(3, 3)]);
}

#[test]
fn workers_share_what_comes_and_free_slots_go_before_work_in_advance() {
    let mut game = Game::new();
    game.enlist(ANNA, 1, &["f"]);
    game.want(ANNA, 10);
    game.enlist(BERT, 2, &["f"]);
    game.submit(POOL, 1..=3);
    assert_eq!((game.jobs(ANNA).len(), game.jobs(BERT).len()), (1, 2));
    game.submit(POOL, 4..=20);
    assert_eq!((game.jobs(ANNA).len(), game.jobs(BERT).len()), (9, 0), "as far as it wants them");
}

#[test]
fn what_waits_in_a_worker_is_recalled_for_one_that_has_nothing_to_do() {
    let mut game = Game::new();
    game.enlist(ANNA, 1, &["f"]);
    game.want(ANNA, 4);
    game.submit(POOL, 1..=4);
    let given = game.fetch(ANNA);
    game.begin(ANNA, given[0].0);
    game.enlist(BERT, 2, &["f", "g"]);
    assert_eq!(game.recalled(ANNA), [given[3].0, given[2].0], "as many as find a slot");
    game.begin(ANNA, given[0].0);
    assert_eq!(game.recalled(ANNA), [], "asked once");
    // One of them has just begun, which is as well.
    game.done(ANNA, given[0].0);
    game.report(ANNA, Report { begun: vec![given[2].0], ..Report::default() });
    game.report(ANNA, Report { returned: vec![given[3].0], ..Report::default() });
    assert_eq!(game.jobs(BERT), [4]);
    game.done(ANNA, given[2].0);
    assert_eq!(game.ended(POOL).len(), 2);
}

#[test]
fn nothing_is_recalled_for_one_that_lacks_its_code() {
    let mut game = Game::new();
    game.enlist(ANNA, 1, &["f"]);
    game.want(ANNA, 4);
    game.submit(POOL, 1..=4);
    game.fetch(ANNA);
    game.enlist(BERT, 2, &["g"]);
    assert_eq!(game.recalled(ANNA), []);
}

#[test]
fn a_chunk_size_bounds_what_a_worker_has_in_advance() {
    let mut game = Game::with_terms(Terms { chunk: 2, ..TERMS });
    game.enlist(ANNA, 2, &["f"]);
    game.want(ANNA, 100);
    game.submit(POOL, 1..=50);
    assert_eq!(game.jobs(ANNA).len(), 4);
}

#[test]
fn whoever_may_not_wait_in_a_worker_is_not_overtaken() {
    let mut game = Game::with_terms(Terms { chunk: 1, ..TERMS });
    assert!(game.board.open(OTHER, TERMS));
    game.enlist(ANNA, 1, &["f"]);
    game.want(ANNA, 10);
    game.submit(OTHER, [101]);
    game.submit(POOL, [1]);
    game.submit(OTHER, [102, 103]);
    assert_eq!(game.fetch(ANNA), [(1, 101)]);
    game.done(ANNA, 1);
    assert_eq!(game.jobs(ANNA), [1, 102, 103], "the free slot first, then in advance");
}

#[test]
fn pools_take_turns_whoever_came_first() {
    let mut game = Game::new();
    assert!(game.board.open(OTHER, TERMS));
    game.submit(POOL, 1..=100);
    game.submit(OTHER, 101..=200);
    game.enlist(ANNA, 6, &["f"]);
    let given = game.jobs(ANNA);
    assert_eq!(given.iter().filter(|job| **job <= 100).count(), 3, "{given:?}");
    for lease in 1..=6 {
        game.done(ANNA, lease);
    }
    assert_eq!(game.jobs(ANNA).iter().filter(|job| **job <= 100).count(), 3);
}

#[test]
fn a_job_goes_only_to_a_worker_that_has_its_code() {
    let mut game = Game::new();
    game.enlist(ANNA, 1, &["g"]);
    game.submit(POOL, [1]);
    assert_eq!(game.fetch(ANNA), []);
    game.enlist(BERT, 1, &["f"]);
    assert_eq!(game.jobs(BERT), [1]);
    // The same name with other types is another task.
    let other = Order { task: TaskKey { name: "f".into(), signature: 8 }, ..order(2, "f") };
    assert!(game.board.submit(POOL, vec![other, order(3, "f")], game.now));
    game.done(BERT, 1);
    assert_eq!(game.jobs(BERT), [3], "what nobody can run holds up nothing");
}

#[test]
fn a_task_that_no_worker_has_fails_after_a_grace() {
    let mut game = Game::new();
    game.submit(POOL, [1, 2]);
    assert_eq!(game.board.expire(game.now + 10 * GRACE), None, "with no worker it waits");
    game.now += 10 * GRACE;
    game.enlist(ANNA, 1, &["g"]);
    assert_eq!(game.board.take_alarm(), Some(game.now + GRACE));
    assert_eq!(game.board.expire(game.now + GRACE / 2), Some(game.now + GRACE));
    assert_eq!(game.ended(POOL), []);
    assert_eq!(game.board.expire(game.now + GRACE), None);
    match &game.news(POOL)[..] {
        [Event::Ended(1, Err(TaskError::UnknownTask { name, hint })), Event::Ended(2, Err(_))] => {
            assert_eq!(name, "f");
            assert!(hint.starts_with("the one worker of this manager does not have it"), "{hint}");
        }
        other => panic!("{other:?}"),
    }
    game.assert_empty();
}

#[test]
fn the_grace_ends_when_a_worker_comes_that_has_the_task() {
    let mut game = Game::new();
    game.enlist(ANNA, 1, &["g"]);
    game.submit(POOL, [1, 2]);
    assert_eq!(game.board.take_alarm(), Some(game.now + GRACE));
    game.enlist(BERT, 1, &["f"]);
    assert_eq!(game.board.expire(game.now + GRACE), None);
    assert_eq!(game.jobs(BERT), [1]);
    // It begins anew when that one goes.
    game.now += GRACE;
    game.board.leave(BERT, game.now);
    assert_eq!(game.board.expire(game.now), Some(game.now + GRACE));
    assert_eq!(game.ended(POOL), []);
}

#[test]
fn a_task_of_other_types_is_told_apart_from_one_that_is_missing() {
    let mut game = Game::new();
    game.enlist(ANNA, 1, &["f"]);
    let other = Order { task: TaskKey { name: "f".into(), signature: 8 }, ..order(1, "f") };
    assert!(game.board.submit(POOL, vec![other], game.now));
    game.board.expire(game.now + GRACE);
    match &game.news(POOL)[..] {
        [Event::Ended(1, Err(TaskError::UnknownTask { hint, .. }))] => {
            assert!(hint.contains("other argument or result types"), "{hint}");
        }
        other => panic!("{other:?}"),
    }
}

/// Whatever happens in whatever order, each job has one outcome and nothing is left over.
#[test]
fn random_games_end_with_one_outcome_for_each_job() {
    for seed in 1..200_u64 {
        let mut dice = Dice(seed);
        let mut game = Game::with_terms(Terms { retries: 2, ..TERMS });
        let mut held: Vec<(Owner, u64)> = Vec::new();
        let (mut last, mut cancelled, mut ended) = (0, Vec::new(), Vec::new());
        for _ in 0..300 {
            let worker = ANNA + dice.below(3);
            match dice.below(10) {
                0 if !game.board.workers.contains_key(&worker) => {
                    game.enlist(worker, 1 + dice.below(3) as u32, &["f"]);
                    game.want(worker, dice.below(6) as u32);
                }
                1 if dice.below(4) == 0 => {
                    game.board.leave(worker, game.now);
                    held.retain(|(owner, _)| *owner != worker);
                }
                2 | 3 => {
                    let count = dice.below(5);
                    game.submit(POOL, last + 1..=last + count);
                    last += count;
                }
                4 if last > 0 => {
                    cancelled.extend(game.board.cancel(POOL, &[1 + dice.below(last)]));
                }
                5 | 6 if game.board.workers.contains_key(&worker) => {
                    held.extend(game.fetch(worker).into_iter().map(|(lease, _)| (worker, lease)));
                }
                7 if !held.is_empty() => {
                    let (worker, lease) = held[dice.below(held.len() as u64) as usize];
                    game.begin(worker, lease);
                }
                _ if !held.is_empty() => {
                    let (worker, lease) = held.swap_remove(dice.below(held.len() as u64) as usize);
                    let outcome = if dice.below(5) == 0 { Err(died()) } else { Ok(Bytes::new()) };
                    game.end(worker, lease, outcome);
                }
                _ => {}
            }
            ended.extend(game.ended(POOL).into_iter().map(|(id, _)| id));
        }
        // At last a worker that does whatever there is.
        for worker in ANNA..ANNA + 3 {
            game.board.leave(worker, game.now);
        }
        game.enlist(99, 1000, &["f"]);
        while let given = game.fetch(99)
            && !given.is_empty()
        {
            for (lease, _) in given {
                game.done(99, lease);
            }
        }
        ended.extend(game.ended(POOL).into_iter().map(|(id, _)| id));
        ended.extend(cancelled);
        ended.sort_unstable();
        assert_eq!(ended, (1..=last).collect::<Vec<_>>(), "game {seed}");
        game.assert_empty();
    }
}

/// A small generator of numbers (xorshift): the same ones on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
