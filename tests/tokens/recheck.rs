//! Tunnels that end with their token.

use std::fs;

use crate::harness::{Backend, Door};

#[tokio::test]
async fn a_tunnel_is_closed_when_its_token_is_removed_or_leads_elsewhere() {
    for after in ["", "vm: localhost:1\n"] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tokens");
        let console = Backend::tcp().await;
        let others = "# others\nother: localhost:2\n";
        fs::write(&file, format!("{others}vm: {}\n", console.address())).unwrap();
        let door = Door::open(&format!(
            "[bridge]\nrecheck-tokens = '20ms'\n[[bridge.tokens]]\nsource = 'file'\npath = '{}'\n",
            file.display()
        ))
        .await;
        let mut client = door.websocket("/websockify?token=vm").await;
        let mut target = console.accept().await;
        target.send(b"still here").await;
        assert_eq!(client.frame().await.payload, b"still here");
        // Not in place: an empty file is one being written.
        let next = directory.path().join("next");
        fs::write(&next, format!("{others}{after}")).unwrap();
        fs::rename(&next, &file).unwrap();
        assert_eq!(client.close_code().await, 4404, "{after}");
        assert_eq!(target.rest().await, b"");
    }
}

#[tokio::test]
async fn a_source_that_cannot_be_read_closes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    let console = Backend::tcp().await;
    fs::write(&file, format!("vm: {}\n", console.address())).unwrap();
    let door = Door::open(&format!(
        "[bridge]\nrecheck-tokens = '10ms'\nheartbeat = '100ms'\n\
         [[bridge.tokens]]\nsource = 'file'\npath = '{}'\n",
        file.display()
    ))
    .await;
    let mut client = door.websocket("/websockify?token=vm").await;
    let mut target = console.accept().await;
    fs::remove_file(&file).unwrap();
    // A ping comes after several looks at the file that is gone.
    assert_eq!(client.frame().await.opcode, crate::harness::PING);
    target.send(b"still here").await;
    assert_eq!(client.frame().await.payload, b"still here");
}
