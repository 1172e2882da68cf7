//! Asks a server of devices for a sign of life, as ggml's client has no limit of time for that: a server has one
//! client at a time, and lets others connect, but answers them only when the first has gone.
#![allow(unsafe_code)] // one call of the system: who is at the other end of a connection

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, ToSocketAddrs as _},
    time::Duration,
};

/// A computer that is there takes milliseconds; one that is not there may never refuse.
const CONNECT: Duration = Duration::from_secs(5);
/// A server that is free answers at once.
const ANSWER: Duration = Duration::from_secs(2);

/// `RPC_CMD_HELLO`, the one command that never changes.
const HELLO: u8 = 14;
/// What a client and a server say with it.
#[derive(Clone, Copy)]
struct Form {
    /// Bytes of the client's: which faster ways of transport it has (`RPC_CONN_CAPS_SIZE`); none.
    request: usize,
    /// Bytes of the server's: its version, and the same of its own.
    answer: usize,
}

const NOW: Form = Form {
    request: 24,
    answer: 28,
};
/// Of ggml 0.9.5, which whisper.cpp brings with it: neither has such ways.
const BEFORE: Form = Form {
    request: 0,
    answer: 3,
};

/// Fails, with the reason, unless the server at `address` is there and free, or serves this process already.
pub(crate) fn say(address: &str) -> Result<(), String> {
    let server = resolve(address)?;
    if is_connected_to(server) {
        return Ok(());
    }
    let connect = || TcpStream::connect_timeout(&server.into(), CONNECT);
    let stream = connect().map_err(|error| format!("could not connect: {error}"))?;
    let greeted = greet(&stream, NOW);
    drop(stream);
    // A server that expects the other form hangs up.
    if matches!(&greeted, Err(error) if !is_timeout(error))
        && let Ok(stream) = connect()
        && let Ok(true) = greet(&stream, BEFORE)
    {
        return Ok(());
    }
    match greeted {
        Ok(true) => Ok(()),
        Ok(false) => Err("it speaks another protocol, or another version of it".into()),
        Err(error) if is_timeout(&error) => {
            let seconds = ANSWER.as_secs();
            Err(format!(
                "it does not answer within {seconds} s, as if it served somebody else"
            ))
        }
        Err(error) => Err(format!("it does not answer: {error}")),
    }
}

/// As ggml does it: the first address of four numbers.
fn resolve(address: &str) -> Result<SocketAddrV4, String> {
    let mut found = address
        .to_socket_addrs()
        .map_err(|error| format!("could not find it: {error}"))?;
    found
        .find_map(|found| match found {
            SocketAddr::V4(found) => Some(found),
            SocketAddr::V6(_) => None,
        })
        .ok_or_else(|| "it has no address of IP version 4".into())
}

/// Whether the answer has the right size.
fn greet(mut stream: &TcpStream, form: Form) -> io::Result<bool> {
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let mut request = vec![HELLO];
    request.extend((form.request as u64).to_le_bytes());
    request.resize(request.len() + form.request, 0);
    stream.write_all(&request)?;
    let mut size = [0; 8];
    stream.read_exact(&mut size)?;
    if u64::from_le_bytes(size) != form.answer as u64 {
        return Ok(false);
    }
    // All of it: a server that cannot send would take this for the end of a client that has crashed.
    stream.read_exact(&mut vec![0; form.answer])?;
    Ok(true)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Whether this process has a connection to a server: then it is the one that is served.
fn is_connected_to(server: SocketAddrV4) -> bool {
    let files = fs_err::read_dir("/proc/self/fd").into_iter().flatten();
    files
        .filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok())
        .any(|file| peer(file) == Some(server))
}

/// The other end, if the file is a connection by IP version 4.
fn peer(file: libc::c_int) -> Option<SocketAddrV4> {
    let mut address = libc::sockaddr_in {
        sin_family: 0,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: 0 },
        sin_zero: [0; 8],
    };
    let mut size = libc::socklen_t::try_from(size_of::<libc::sockaddr_in>()).ok()?;
    // SAFETY: at most so many bytes are written to the address, which takes any; a number that is no connection,
    // or no file any more, is an error.
    let code = unsafe { libc::getpeername(file, (&raw mut address).cast(), &raw mut size) };
    if code != 0 || i32::from(address.sin_family) != libc::AF_INET {
        return None;
    }
    let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
    Some(SocketAddrV4::new(ip, u16::from_be(address.sin_port)))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, TcpListener, TcpStream},
        thread,
        time::Instant,
    };

    use super::{ANSWER, NOW, say};

    fn listener() -> (TcpListener, String) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    }

    #[test]
    fn a_server_that_never_answers_is_an_error_in_time() {
        // Connections wait in its queue, as with a server that has a client.
        let (_listener, address) = listener();
        let begin = Instant::now();
        let error = say(&address).unwrap_err();
        assert!(error.contains("as if it served somebody else"), "{error}");
        assert!(begin.elapsed() < ANSWER * 5);
    }

    #[test]
    fn nobody_there_and_others_are_errors() {
        let (there, address) = listener();
        drop(there);
        let error = say(&address).unwrap_err();
        assert!(error.starts_with("could not connect: "), "{error}");

        // Another kind of server answers something else, or closes.
        for (answer, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "another protocol"),
            (&b"\x1c"[..], "it does not answer: "),
        ] {
            let (listener, address) = listener();
            let server = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                stream.read_exact(&mut [0; 9 + NOW.request]).unwrap();
                stream.write_all(answer).unwrap();
            });
            let error = say(&address).unwrap_err();
            assert!(error.contains(expected), "{error}");
            server.join().unwrap();
        }
    }

    #[test]
    fn servers_of_older_engines_are_understood() {
        let (listener, address) = listener();
        let server = thread::spawn(move || {
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 9];
                stream.read_exact(&mut request).unwrap();
                // As ggml 0.9.5: without a look at what it did not expect.
                if request == [14, 0, 0, 0, 0, 0, 0, 0, 0] {
                    stream
                        .write_all(&[3, 0, 0, 0, 0, 0, 0, 0, 3, 6, 0])
                        .unwrap();
                    return;
                }
            }
        });
        say(&address).unwrap();
        server.join().unwrap();
    }

    #[test]
    fn who_is_served_already_need_not_ask() {
        let (_listener, address) = listener();
        let _connection = TcpStream::connect(&address).unwrap();
        say(&address).unwrap();
    }
}
