//! `fairlead-traffic`: clients and servers for tests, so that they need no other tool.
//!
//! Each prints one line of JSON. What works until it is told to end prints `{"ready":true}` first
//! and ends when its standard input does.

mod arguments;
mod echo;
mod hold;
mod ping;
mod tcp;
mod udp;

use arguments::Arguments;
use serde_json::Value;

const USAGE: &str = "fairlead-traffic
  echo-server ADDRESS:PORT NAME           TCP and UDP; also tcp-echo-server, udp-echo-server
  tcp-connects TARGET COUNT               connect, exchange, close; COUNT 0: until stdin ends
  tcp-stream TARGET BYTES                 there and back, compared
  hold TARGET                             one connection, exchanging until stdin ends
  udp-sizes TARGET SIZE…                  datagrams of these sizes, echoed and compared
  udp-connected TARGET COUNT              a new connected socket each
  udp-unconnected TARGET COUNT            one socket, sendto and recvfrom; 0: until stdin ends
  ping ADDRESS COUNT [SIZE]               ICMP echo
  options: --bind ADDRESS, --timeout-ms N (2000), --interval-ms N";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(words) {
        Ok(line) => println!("{line}"),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(2);
        }
    }
}

fn run(words: Vec<String>) -> Result<Value, String> {
    let arguments = Arguments::parse(words)?;
    match arguments.command.as_str() {
        "echo-server" => echo::serve(&arguments, true, true),
        "tcp-echo-server" => echo::serve(&arguments, true, false),
        "udp-echo-server" => echo::serve(&arguments, false, true),
        "tcp-connects" => tcp::connects(&arguments),
        "tcp-stream" => tcp::stream(&arguments),
        "hold" => hold::hold(&arguments),
        "udp-sizes" => udp::sizes(&arguments),
        "udp-connected" => udp::connected(&arguments),
        "udp-unconnected" => udp::unconnected(&arguments),
        "ping" => ping::ping(&arguments),
        _ => Err(USAGE.into()),
    }
}
