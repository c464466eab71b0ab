use super::*;

/// The smallest GIF: one pixel.
const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), None).unwrap();
    (folder, store)
}

fn receive(store: &Store, url: &str, body: &[u8], unframed: bool) -> Result<SavedImage, Problem> {
    let address = Address::parse(url).unwrap();
    let mut incoming = store.receive(&address, unframed);
    for piece in body.chunks(5) {
        incoming.write(piece)?;
    }
    incoming.finish()
}

fn parts(folder: &Path) -> usize {
    fs::read_dir(folder.join(TEMPORARY)).unwrap().count()
}

#[test]
fn an_image_lands_whole_under_its_name_with_its_hash() {
    let (folder, store) = store();
    let saved = receive(&store, "http://a.org/x/y.gif", GIF, false).unwrap();
    assert_eq!(saved.path, "images/a.org/x/y.gif");
    assert_eq!(fs::read(folder.path().join(&saved.path)).unwrap(), GIF);
    assert_eq!(saved.sha256, hex(&Sha256::digest(GIF)));
    assert_eq!((saved.bytes, saved.width, saved.height), (GIF.len() as u64, Some(1), Some(1)));
    assert_eq!(saved.content_type, "image/gif");
    assert_eq!(parts(folder.path()), 0);
}

#[test]
fn what_is_no_image_leaves_nothing_behind() {
    let (folder, store) = store();
    let html = b"<!DOCTYPE html><title>Not found</title>".repeat(10);
    let error = receive(&store, "http://a.org/x.gif", &html, false).unwrap_err();
    assert_eq!(error.cause, Cause::NotAnImage);
    assert!(error.detail.contains("HTML"), "{}", error.detail);
    assert_eq!(receive(&store, "http://a.org/x.gif", b"", false).unwrap_err().cause, Cause::Empty);
    assert_eq!(
        receive(&store, "http://a.org/x.gif", b"GI", false).unwrap_err().cause,
        Cause::NotAnImage
    );
    assert_eq!(parts(folder.path()), 0);
    assert!(!folder.path().join("images/a.org").exists());
}

#[test]
fn a_transfer_that_breaks_off_leaves_nothing_behind() {
    let (folder, store) = store();
    let address = Address::parse("http://a.org/x.gif").unwrap();
    let mut incoming = store.receive(&address, false);
    incoming.write(&GIF[..20]).unwrap();
    drop(incoming);
    assert_eq!(parts(folder.path()), 0);
}

#[test]
fn only_a_body_without_a_certain_end_is_checked_for_being_whole() {
    let (_folder, store) = store();
    let cut = &GIF[..GIF.len() - 3];
    let error = receive(&store, "http://a.org/x.gif", cut, true).unwrap_err();
    assert_eq!(error.cause, Cause::Truncated);
    assert!(receive(&store, "http://a.org/x.gif", GIF, true).is_ok());
    assert!(receive(&store, "http://a.org/x.gif", cut, false).is_ok());
}

#[test]
fn fetching_again_replaces_the_file() {
    let (folder, store) = store();
    let first = receive(&store, "http://a.org/x.gif", GIF, false).unwrap();
    let longer = [GIF, b"trailing"].concat();
    let second = receive(&store, "http://a.org/x.gif", &longer, false).unwrap();
    assert_eq!(first.path, second.path);
    assert_eq!(fs::read(folder.path().join(&second.path)).unwrap(), longer);
}

#[test]
fn a_name_that_is_a_file_to_one_and_a_folder_to_another_serves_both() {
    let (folder, store) = store();
    let outer = receive(&store, "http://a.org/x.gif", GIF, false).unwrap();
    let inner = receive(&store, "http://a.org/x.gif/y.gif", GIF, false).unwrap();
    assert_ne!(outer.path, inner.path);
    for path in [outer.path, inner.path] {
        assert!(folder.path().join(path).is_file());
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_a_failure_of_the_image() {
    let (folder, store) = store();
    fs::remove_dir_all(folder.path().join(TEMPORARY)).unwrap();
    let error = receive(&store, "http://a.org/x.gif", GIF, false).unwrap_err();
    assert_eq!(error.cause, Cause::Storage);
}

#[test]
fn leftovers_of_killed_workers_are_removed() {
    let (folder, _store) = store();
    fs::write(folder.path().join(TEMPORARY).join("dead-1-1.part"), "x").unwrap();
    Store::remove_parts(folder.path()).unwrap();
    Store::remove_parts(folder.path()).unwrap();
    assert!(!folder.path().join(TEMPORARY).exists());
}
