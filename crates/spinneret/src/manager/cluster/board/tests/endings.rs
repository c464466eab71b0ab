//! What becomes of jobs whose worker, pool or caller goes.

use super::*;

#[test]
fn a_worker_that_goes_is_charged_only_for_what_it_had_begun() {
    let mut game = Game::new();
    game.enlist(ANNA, 3, &["f"]);
    game.submit(POOL, 1..=4);
    let given = game.fetch(ANNA);
    game.begin(ANNA, given[1].0);
    game.enlist(BERT, 1, &["f"]);
    assert_eq!(game.jobs(BERT), [4]);
    game.board.leave(ANNA, game.now);
    assert_eq!(game.news(POOL), [Event::Begun(2), Event::Ended(2, Err(died()))]);
    game.done(BERT, 4);
    assert_eq!(game.jobs(BERT), [1], "the others wait at their old places");
    game.done(BERT, 5);
    assert_eq!(game.jobs(BERT), [3]);
}

#[test]
fn a_begun_job_is_tried_again_as_often_as_its_pool_allows() {
    let mut game = Game::with_terms(Terms { retries: 1, ..TERMS });
    game.submit(POOL, [1]);
    for worker in [ANNA, BERT] {
        game.enlist(worker, 1, &["f"]);
        let lease = game.fetch(worker)[0].0;
        game.begin(worker, lease);
        game.board.leave(worker, game.now);
    }
    let again = [Event::Begun(1), Event::Again(1), Event::Begun(1), Event::Ended(1, Err(died()))];
    assert_eq!(game.news(POOL), again);
    game.assert_empty();
}

#[test]
fn a_worker_whose_process_died_goes_on_and_poison_is_found_out() {
    let mut game = Game::with_terms(Terms { retries: 99, poison_limit: 2, ..TERMS });
    game.enlist(ANNA, 1, &["f"]);
    game.submit(POOL, [1]);
    for _ in 0..2 {
        let lease = game.fetch(ANNA)[0].0;
        game.end(ANNA, lease, Err(died()));
    }
    assert_eq!(game.news(POOL), [Event::Again(1), Event::Ended(1, Err(died()))]);
    game.assert_empty();
}

#[test]
fn other_failures_are_not_tried_again() {
    let mut game = Game::with_terms(Terms { retries: 9, ..TERMS });
    game.enlist(ANNA, 1, &["f"]);
    game.submit(POOL, [1]);
    let lease = game.fetch(ANNA)[0].0;
    game.end(ANNA, lease, Err(TaskError::Cancelled));
    assert_eq!(game.ended(POOL), [(1, false)]);
}

#[test]
fn one_outcome_is_committed_whoever_reports_late() {
    let mut game = Game::with_terms(Terms { retries: 9, ..TERMS });
    game.enlist(ANNA, 1, &["f"]);
    game.submit(POOL, [1]);
    let first = game.fetch(ANNA)[0].0;
    game.begin(ANNA, first);
    // It is taken for dead, and comes back under another number.
    game.board.leave(ANNA, game.now);
    game.enlist(ANNA, 1, &["g"]);
    game.enlist(BERT, 1, &["f"]);
    let second = game.fetch(BERT)[0].0;
    assert_ne!(first, second);
    game.done(ANNA, first);
    game.done(ANNA, second);
    assert_eq!(game.ended(POOL), [], "neither is its own");
    game.done(BERT, second);
    game.done(BERT, second);
    assert_eq!(game.ended(POOL), [(1, true)]);
    game.assert_empty();
}

#[test]
fn an_outcome_may_come_before_the_slot_is_free() {
    let mut game = Game::new();
    game.enlist(ANNA, 1, &["f"]);
    game.submit(POOL, [1, 2]);
    let lease = game.fetch(ANNA)[0].0;
    game.begin(ANNA, lease);
    let outcome = Err(TaskError::TimedOut { after: Duration::from_secs(1) });
    let early = Ended { lease, took: Duration::ZERO, outcome, still_runs: true };
    game.report(ANNA, Report { ended: vec![early], ..Report::default() });
    assert_eq!(game.ended(POOL), [(1, false)]);
    assert_eq!(game.fetch(ANNA), [], "its slot is taken");
    game.done(ANNA, lease);
    assert_eq!(game.ended(POOL), [], "it has its outcome");
    assert_eq!(game.jobs(ANNA), [2]);
}

#[test]
fn what_has_not_begun_can_be_cancelled_wherever_it_is() {
    let mut game = Game::new();
    game.enlist(ANNA, 2, &["f"]);
    game.submit(POOL, [1, 2]);
    let given = game.fetch(ANNA);
    game.begin(ANNA, given[0].0);
    game.submit(POOL, [3]);
    game.enlist(BERT, 1, &["f"]);
    game.submit(POOL, [4]);
    // Running, fetched, given and not fetched, waiting, unknown.
    assert_eq!(game.board.cancel(POOL, &[1, 2, 3, 4, 5]), [2, 3, 4]);
    assert_eq!(game.revoked(ANNA), [given[1].0]);
    assert_eq!(game.fetch(BERT), []);
    game.submit(POOL, [6, 7]);
    assert_eq!(game.jobs(BERT), [6], "the slot of what was not fetched is free at once");
    assert_eq!(game.jobs(ANNA), [], "that of what was fetched is not");
    game.report(ANNA, Report { returned: vec![given[1].0], ..Report::default() });
    assert_eq!(game.jobs(ANNA), [7]);
    assert_eq!(game.board.cancel(OTHER, &[6]), [], "by nobody else");
}

#[test]
fn a_cancelled_job_that_had_begun_all_the_same_has_no_outcome() {
    let mut game = Game::new();
    game.enlist(ANNA, 1, &["f"]);
    game.submit(POOL, [1]);
    let lease = game.fetch(ANNA)[0].0;
    assert_eq!(game.board.cancel(POOL, &[1]), [1]);
    game.begin(ANNA, lease);
    game.done(ANNA, lease);
    assert_eq!(game.news(POOL), []);
    game.assert_empty();
}

#[test]
fn nothing_remains_of_a_pool_that_goes() {
    let mut game = Game::new();
    game.enlist(ANNA, 2, &["f"]);
    game.submit(POOL, 1..=9);
    let given = game.fetch(ANNA);
    game.begin(ANNA, given[0].0);
    game.board.leave(POOL, game.now);
    let mut revoked = game.revoked(ANNA);
    revoked.sort_unstable();
    assert_eq!(revoked, [given[0].0, given[1].0], "the worker is told to stop");
    game.end(ANNA, given[0].0, Err(died()));
    game.report(ANNA, Report { returned: vec![given[1].0], ..Report::default() });
    game.assert_empty();
    assert_eq!(game.board.stats(game.now).pools, 0);
    assert_eq!(game.board.listen(POOL, ALL), Some(ClusterReply::Gone));
    assert!(!game.board.submit(POOL, vec![order(1, "f")], game.now));
    // The worker is of use to others.
    assert!(game.board.open(OTHER, TERMS));
    game.submit(OTHER, [5]);
    assert_eq!(game.jobs(ANNA), [5]);
}

#[test]
fn a_worker_that_retires_ends_what_runs_and_gets_no_more() {
    let mut game = Game::new();
    game.enlist(ANNA, 1, &["f"]);
    game.want(ANNA, 3);
    game.submit(POOL, 1..=2);
    let given = game.fetch(ANNA);
    game.begin(ANNA, given[0].0);
    game.submit(POOL, 3..=5);
    game.board.retire(ANNA, game.now);
    assert_eq!(game.fetch(ANNA), [], "what was not fetched stays");
    game.report(ANNA, Report { returned: vec![given[1].0], ..Report::default() });
    game.enlist(BERT, 9, &["f"]);
    assert_eq!(game.jobs(BERT), [2, 3, 4, 5]);
    game.done(ANNA, given[0].0);
    assert_eq!(game.fetch(ANNA), []);
    assert_eq!(game.ended(POOL), [(1, true)]);
}

#[test]
fn what_a_retired_worker_gives_back_fails_after_a_grace_if_nobody_else_knows_it() {
    let mut game = Game::new();
    game.enlist(ANNA, 1, &["f"]);
    game.want(ANNA, 2);
    game.submit(POOL, [1, 2]);
    let given = game.fetch(ANNA);
    game.begin(ANNA, given[0].0);
    game.enlist(BERT, 1, &["g"]);
    game.board.retire(ANNA, game.now);
    game.board.take_alarm();
    // Nothing waited then; this does, and what ANNA still runs may take hours.
    game.now += GRACE;
    game.report(ANNA, Report { returned: vec![given[1].0], ..Report::default() });
    assert_eq!(game.board.take_alarm(), Some(game.now + GRACE));
    assert_eq!(game.board.expire(game.now), Some(game.now + GRACE));
    assert_eq!(game.board.expire(game.now + GRACE), None);
    assert_eq!(game.ended(POOL), [(2, false)]);
    game.done(ANNA, given[0].0);
    assert_eq!(game.ended(POOL), [(1, true)]);
    game.assert_empty();
}

#[test]
fn what_a_retired_worker_could_not_finish_has_its_grace_too() {
    let mut game = Game::with_terms(Terms { retries: 1, ..TERMS });
    game.enlist(ANNA, 1, &["f"]);
    game.submit(POOL, [1]);
    let lease = game.fetch(ANNA)[0].0;
    game.begin(ANNA, lease);
    game.enlist(BERT, 1, &["g"]);
    game.board.retire(ANNA, game.now);
    game.end(ANNA, lease, Err(died()));
    assert_eq!(game.board.expire(game.now), Some(game.now + GRACE));
    // Without anybody who takes jobs it waits for the right one.
    game.board.retire(BERT, game.now);
    assert_eq!(game.board.expire(game.now + GRACE), None);
    assert_eq!(game.ended(POOL), []);
}

#[test]
fn pools_hear_how_many_slots_there_are() {
    let mut game = Game::new();
    let slots = |game: &mut Game| match game.board.listen(POOL, ALL) {
        Some(ClusterReply::News { slots, .. }) => Some(slots),
        _ => None,
    };
    assert_eq!(slots(&mut game), Some(0));
    assert_eq!(slots(&mut game), None);
    game.enlist(ANNA, 2, &["f"]);
    game.enlist(BERT, 3, &["f"]);
    assert!(game.board.take_woken().contains(&POOL));
    assert_eq!(slots(&mut game), Some(5));
    game.board.leave(BERT, game.now);
    assert_eq!(slots(&mut game), Some(2));
    game.board.retire(ANNA, game.now);
    assert_eq!(slots(&mut game), Some(0));
}

#[test]
fn batches_are_bounded_and_the_rest_follows() {
    let mut game = Game::new();
    game.enlist(ANNA, 3, &["f"]);
    let large = |id| Order { args: vec![0; 1000].into(), ..order(id, "f") };
    assert!(game.board.submit(POOL, (1..=3).map(large).collect(), game.now));
    let mut leases = Vec::new();
    for _ in 0..3 {
        game.board.take_woken();
        match game.board.fetch(ANNA, 1100) {
            Some(ClusterReply::Work { jobs, .. }) => leases.extend(jobs.iter().map(|j| j.lease)),
            other => panic!("{other:?}"),
        }
        assert_eq!(game.board.take_woken().contains(&ANNA), leases.len() < 3);
    }
    assert_eq!(leases, [1, 2, 3]);
    for lease in leases {
        game.end(ANNA, lease, Ok(vec![0; 1000].into()));
    }
    for expected in [1, 1, 1, 0] {
        game.board.take_woken();
        let events = match game.board.listen(POOL, 1100) {
            Some(ClusterReply::News { events, .. }) => events,
            _ => Vec::new(),
        };
        assert_eq!(events.len(), expected);
    }
}

#[test]
fn the_jobs_of_a_pool_that_does_not_listen_wait_until_it_does() {
    const LARGE: usize = 20 << 20;
    let mut game = Game::new();
    assert!(game.board.open(OTHER, TERMS));
    game.enlist(ANNA, 1, &["f"]);
    game.submit(POOL, 1..=20);
    let large = Bytes::from(vec![0; LARGE]);
    let work = |game: &mut Game| {
        let mut count = 0;
        while let [(lease, _)] = game.fetch(ANNA)[..] {
            game.end(ANNA, lease, Ok(large.clone()));
            count += 1;
        }
        count
    };
    assert_eq!(work(&mut game), 4, "up to 64 MiB, and what was given out by then");
    assert_eq!(game.board.stats(game.now).queued, 16);
    // Others are served.
    game.submit(OTHER, [1, 2]);
    assert_eq!(work(&mut game), 2);
    let mut ended = Vec::new();
    while ended.len() < 20 {
        ended.extend(game.ended(POOL));
        game.board.take_woken();
        work(&mut game);
    }
    assert_eq!(ended, (1..=20).map(|id| (id, true)).collect::<Vec<_>>());
    assert_eq!(game.ended(OTHER).len(), 1, "as many as go in one batch");
}

#[test]
fn who_breaks_the_rules_is_refused_or_ignored() {
    let mut game = Game::new();
    game.enlist(ANNA, 1, &["f"]);
    assert!(!game.board.open(POOL, TERMS), "one connection is one pool");
    game.submit(POOL, [1, 1]);
    let lease = game.fetch(ANNA)[0].0;
    // A worker that is none, and leases of others, or of nobody.
    assert!(!game.board.report(BERT, Report::default(), game.now));
    assert_eq!(game.board.fetch(BERT, ALL), Some(ClusterReply::Gone));
    game.enlist(BERT, 1, &["f"]);
    game.done(BERT, lease);
    game.report(
        BERT,
        Report { begun: vec![lease, 99], returned: vec![lease, 99], depth: 0, ended: vec![] },
    );
    assert_eq!(game.news(POOL), []);
    game.done(ANNA, lease);
    assert_eq!(game.ended(POOL), [(1, true)]);
    game.assert_empty();
}
