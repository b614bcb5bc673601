//! The same for the Mercure hub: subscribers come back with the id of the last update they saw, and publishers try
//! again, with their own ids, what was not acknowledged.

use super::*;
use crate::support::{Heard, MERCURE_SECRET, Updates, mercure_token, publish_update};

const KILLS_OF_HUB: usize = 40;
const TOPIC: &str = "https://example.com/books/1";
const END: &str = "end";

impl Fixture {
    /// A fixture with a Mercure hub instead of the channel.
    fn with_mercure() -> Self {
        let directory = scratch();
        let key = path(&directory, "key");
        std::fs::write(&key, MERCURE_SECRET).unwrap();
        Self::with(
            directory,
            &format!(
                "[mercure]\npublisher-keys = ['{key}']\nanonymous = true\n\
                 [mercure.history]\nstore = 'disk'\nmessages = 1000000\nsize = '256MiB'\n"
            ),
        )
    }

    /// Publishes an update; its id, once it is acknowledged.
    fn update(&self, token: &str, data: &str, more: &[(&str, &str)]) -> io::Result<String> {
        let fields = [&[("topic", TOPIC), ("data", data)], more].concat();
        publish_update(self.socket()?, token, &fields)
    }

    fn socket(&self) -> io::Result<UnixStream> {
        let socket = UnixStream::connect(&self.door)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    }
}

/// Publishes one update after the other. Those with an own id are tried again until they are acknowledged, the others
/// once; each third is private.
fn publish_all(fixture: &Fixture, publisher: usize, said: &Said) {
    let token = mercure_token();
    let mut number = 0;
    while !said.over.load(Ordering::Relaxed) {
        let data = format!("{publisher}:{number}");
        let own = format!("urn:example:{data}");
        let mut more = Vec::new();
        if number % 3 == 0 {
            more.push(("private", "on"));
        }
        let is_own = number % 2 == 0;
        if is_own {
            more.push(("id", own.as_str()));
        }
        loop {
            said.tried.fetch_add(1, Ordering::Relaxed);
            match fixture.update(&token, &data, &more) {
                Ok(id) => {
                    assert!(!is_own || id == own, "{id}");
                    said.acknowledged.lock().unwrap().push(data);
                    break;
                }
                Err(_) => pause(Duration::from_millis(2)),
            }
            if !is_own || said.over.load(Ordering::Relaxed) {
                break;
            }
        }
        number += 1;
    }
}

/// A page that reconnects after each kill with the id of the last update it saw, until the last of all.
fn hear(fixture: &Fixture, token: &str) -> Vec<Heard> {
    let mut heard: Vec<Heard> = Vec::new();
    let mut cursor = "earliest".to_owned();
    loop {
        let socket = fixture.socket();
        let opened = socket.and_then(|it| Updates::open(it, &[TOPIC], Some(&cursor), token));
        let Ok(mut stream) = opened else {
            pause(Duration::from_millis(2));
            continue;
        };
        assert_eq!(stream.cursor.as_deref(), Some(cursor.as_str()), "resumed");
        while let Ok(update) = stream.next() {
            if update.data == END {
                return heard;
            }
            cursor.clone_from(&update.id);
            heard.push(update);
        }
    }
}

#[test]
fn kills_while_publishing_to_the_mercure_hub_lose_and_double_nothing() {
    let _alone = alone();
    let (fixture, said) = (Fixture::with_mercure(), Said::default());
    let token = mercure_token();
    let mut program = fixture.start();
    let (reader, page) = std::thread::scope(|scope| {
        let (fixture, said, token) = (&fixture, &said, token.as_str());
        let over = Over(said);
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| scope.spawn(move || publish_all(fixture, publisher, said)))
            .collect();
        let reader = scope.spawn(move || hear(fixture, token));
        let page = scope.spawn(move || hear(fixture, ""));
        for kill in 0..KILLS_OF_HUB {
            let before = said.acknowledged.lock().unwrap().len();
            until("something to be acknowledged", || {
                (said.acknowledged.lock().unwrap().len() > before + kill % 17).then_some(())
            });
            program.kill();
            program = fixture.start();
        }
        said.over.store(true, Ordering::Relaxed);
        for publisher in publishers {
            publisher.join().unwrap();
        }
        until("the last update to be acknowledged", || {
            fixture.update(token, END, &[]).ok()
        });
        drop(over);
        (reader.join().unwrap(), page.join().unwrap())
    });
    let kept = hear(&fixture, &token);
    let open = hear(&fixture, "");
    drop(program);

    let acknowledged = said.acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > KILLS_OF_HUB && said.tried.into_inner() > acknowledged.len());
    let texts: Vec<_> = kept.iter().map(|update| update.data.clone()).collect();
    is_in_order_and_once(&texts);
    let all: BTreeSet<_> = texts.iter().collect();
    let mut lost = acknowledged.iter().filter(|text| !all.contains(text));
    assert_eq!(lost.next(), None, "of {}", acknowledged.len());
    // Those that were there all the time have heard the same as those that come afterwards.
    assert_eq!(reader, kept);
    assert_eq!(page, open);
    let is_open = |update: &&Heard| {
        let (_, number) = update.data.split_once(':').unwrap();
        number.parse::<usize>().unwrap() % 3 != 0
    };
    let expected: Vec<_> = kept.iter().filter(is_open).cloned().collect();
    assert_eq!(open, expected);
}
