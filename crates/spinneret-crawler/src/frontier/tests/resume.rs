//! After a crash or an interrupt.

use super::*;

#[test]
fn after_a_kill_what_had_not_ended_is_handed_out_again_and_nothing_else() {
    let mut rig = Rig::new(options(), &["http://a/"]);
    let seed = rig.one();
    rig.read(
        seed.id,
        &[
            ("http://a/read", Kind::Page),
            ("http://a/old", Kind::Page),
            ("http://a/handed-out", Kind::Page),
            ("http://a/saved.png", Kind::Image),
            ("http://a/listed.png", Kind::Image),
            ("http://a/open.png", Kind::Image),
        ],
    );
    let jobs = rig.jobs();
    let id = |name: &str| jobs.iter().find(|job| job.url.ends_with(name)).unwrap().id;
    rig.read(id("/read"), &[("http://a/new", Kind::Page)]);
    rig.redirect(id("/old"), "http://a/moved");
    rig.report(id("/saved.png"), Outcome::Saved(saved()));
    let moved = rig.frontier.next_jobs(rig.now, ALL).unwrap();
    assert_eq!(moved.len(), 2);
    rig.read(id("/old"), &[]);
    let listed = Address::parse("http://a/listed.png").unwrap().fingerprint();
    let (mut rig, pages) = rig.killed_and_resumed(options(), &HashSet::from([listed]));
    assert_eq!(pages, 3);
    let left: HashSet<String> = rig.urls().into_iter().collect();
    let expected = ["http://a/handed-out", "http://a/open.png", "http://a/new"];
    assert_eq!(left, expected.map(str::to_owned).into());
    assert_eq!(rig.frontier.counts().images_found, 3);
    // What was known stays known, where the redirect led to included.
    for known in ["http://a/", "http://a/read", "http://a/old", "http://a/moved"] {
        let address = Address::parse(known).unwrap();
        assert!(!rig.frontier.add_seed(&address, Kind::Page, rig.now), "{known}");
    }
}

#[test]
fn a_redirect_under_way_at_the_kill_starts_from_its_beginning() {
    let mut rig = Rig::new(options(), &["http://a/"]);
    let seed = rig.one();
    rig.redirect(seed.id, "http://a/home");
    let moved = rig.one();
    assert_eq!(moved.url, "http://a/home");
    let (mut rig, _) = rig.killed_and_resumed(options(), &HashSet::new());
    let again = rig.one();
    assert_eq!(again.url, "http://a/");
    rig.redirect(again.id, "http://a/home");
    let moved = rig.one();
    rig.read(moved.id, &[]);
    assert_eq!(rig.frontier.take_events(), [Event::Page]);
}

#[test]
fn depth_levels_survive_a_kill() {
    let limited = FrontierOptions { max_depth: Some(5), ..options() };
    let mut rig = Rig::new(limited.clone(), &["http://a/"]);
    let seed = rig.one();
    rig.read(seed.id, &[("http://a/1", Kind::Page)]);
    let one = rig.one();
    rig.read(one.id, &[("http://a/2", Kind::Page)]);
    let (mut rig, _) = rig.killed_and_resumed(limited, &HashSet::new());
    let two = rig.one();
    rig.read(two.id, &[("http://a/3", Kind::Page)]);
    assert_eq!(rig.urls(), ["http://a/3"]);
}

#[test]
fn jobs_taken_back_stay_open() {
    let mut rig = Rig::new(options(), &["http://a/"]);
    let seed = rig.one();
    rig.frontier.take_back(seed.id, rig.now);
    assert!(rig.frontier.nothing_in_flight());
    let (mut rig, _) = rig.killed_and_resumed(options(), &HashSet::new());
    assert_eq!(rig.urls(), ["http://a/"]);
}
