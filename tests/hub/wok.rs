//! An app like Wok behind a channel: one connection to it for any number of pages, and none of them notices that
//! it restarts.

use std::path::Path;

use tokio::net::UnixListener;

use super::hub;
use crate::harness::{Wire, within};

const PAGE: &str = "/websockify?token=d29rbm90aWZpY2F0aW9ucw";

async fn noren_comes(app: &UnixListener) -> Wire {
    let (socket, _) = within("Noren to connect", app.accept()).await.unwrap();
    Wire::new(socket)
}

fn start(path: &Path) -> UnixListener {
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path).unwrap()
}

#[tokio::test]
async fn pages_share_one_connection_and_keep_theirs_while_wok_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("woknotifications");
    let app = start(&path);
    let tables = format!(
        "[[channel]]\nname = 'wok'\ntoken = 'woknotifications'\n\
         [[channel.source]]\nsource = 'wok'\naddress = 'unix:{}'\n",
        path.display()
    );
    let hub = hub("", &tables).await;
    let mut push = noren_comes(&app).await;
    let mut pages = Vec::new();
    for _ in 0..20 {
        pages.push(hub.door.websocket(PAGE).await);
    }
    // Cut anywhere, the messages arrive whole.
    push.send("POST:/wok/lo").await;
    push.send("gin//EOM//DELETE:/wok/notification//EO").await;
    push.send("M//").await;
    for page in &mut pages {
        assert_eq!(page.input.frame().await.payload, b"POST:/wok/login//EOM//");
        let second = page.input.frame().await.payload;
        assert_eq!(second, b"DELETE:/wok/notification//EOM//");
    }
    // Nobody else has connected: the next who comes is Noren again, after the restart.
    drop((push, app));
    let app = start(&path);
    let mut push = noren_comes(&app).await;
    push.send("METHOD:/kimchi/vms//EOM//").await;
    for page in &mut pages {
        assert_eq!(
            page.input.frame().await.payload,
            b"METHOD:/kimchi/vms//EOM//"
        );
    }
}
