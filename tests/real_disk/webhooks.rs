//! Webhooks whose channel is on a disk that fills up: their sender is told to come again, and nobody has seen what was
//! refused.

use super::{Fixture, Response, text};
use crate::support::until;

impl Fixture {
    /// A delivery as GitLab sends it, with the id that it has at every attempt.
    fn deliver(&self, number: usize) -> Response {
        let lines = format!(
            "X-Gitlab-Token: a secret of some length\r\nX-Gitlab-Event: Push Hook\r\nIdempotency-Key: k{number}\r\n\
             Content-Type: application/json\r\n"
        );
        let body = format!(r#"{{"text": "{}"}}"#, text(number));
        let asked = self.ask_with("door.sock", "POST /hooks/gitlab", &lines, &body);
        asked.expect("a response")
    }
}

#[test]
fn a_webhook_that_a_full_disk_refuses_is_seen_by_nobody_and_taken_when_it_comes_again() {
    let mut fixture = Fixture::open("unlimited");
    fixture.until_it_serves();
    assert_eq!(fixture.deliver(0).0, 202);
    fixture.fill(fixture.program.id());
    let mut taken = vec!["0".to_owned()];
    let refused = (1..100_000).find(|number| {
        let Response(status, head, body) = fixture.deliver(*number);
        if status == 202 {
            taken.push(number.to_string());
            return false;
        }
        assert_eq!(status, 503, "{body}");
        assert!(head.to_lowercase().contains("retry-after: "), "{head}");
        assert!(body.contains("full") && !body.contains('/'), "{body}");
        true
    });
    let refused = refused.expect("an end of the disk");
    assert_eq!(fixture.deliver(refused).0, 503);
    assert_eq!(fixture.history("hooks"), taken);
    Fixture::limit(fixture.program.id(), "unlimited");
    until("the delivery to be taken", || {
        (fixture.deliver(refused).0 == 202).then_some(())
    });
    // Its sender has not heard of that, and tries once more.
    assert_eq!(fixture.deliver(refused).0, 202);
    taken.push(refused.to_string());
    assert_eq!(fixture.history("hooks"), taken);
    fixture.restart("unlimited");
    assert_eq!(fixture.deliver(refused).0, 202);
    assert_eq!(fixture.history("hooks"), taken);
}
