//! MQTT over the bridge: Eclipse Paho as the WebSocket client, and mosquitto, which listens on plain TCP only.

use crate::support::{Door, Peer, python, run, scratch};

#[test]
fn an_mqtt_client_over_websocket_reaches_a_broker_on_plain_tcp() {
    let files = scratch();
    let broker = Peer::start("mqtt_broker.py", &[&files.path().to_string_lossy()]);
    let door = Door::open(&format!(
        "[bridge]\npaths = [\"/mqtt\"]\n[[bridge.target]]\ntoken = \"broker\"\naddress = \"{}\"\n\
         subprotocols = [\"mqtt\"]\n",
        broker.address
    ));
    let url = door.url("");
    let authority = url.trim_start_matches("https://").trim_end_matches('/');
    let (host, port) = authority.rsplit_once(':').expect("host:port");
    let mut client = python("mqtt_client.py");
    client.args([host, port, "/mqtt?token=broker", &door.file("ca.pem")]);
    let said = run(&mut client).well().stdout;
    assert!(said.contains("mqtt: ok"), "{said}");
    assert!(!door.log().contains("panicked"), "{}", door.log());
}
