//! What people ask for: `auto`, `cpu`, `cuda`, `cuda:1`, `cuda:0,cuda:1`, `rpc:192.168.1.7:50052`.

use std::{fmt, str::FromStr};

use crate::BackendError;

/// Which devices an engine shall use.
///
/// ```
/// use trifold_backend::DeviceRequest;
///
/// # fn main() -> Result<(), trifold_backend::BackendError> {
/// let request: DeviceRequest = "cuda:0,cuda:1".parse()?;
/// assert_eq!(request.to_string(), "cuda:0,cuda:1");
/// assert_eq!("auto".parse::<DeviceRequest>()?, DeviceRequest::Auto);
/// assert!("cuda:one".parse::<DeviceRequest>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceRequest {
    /// The first accelerator that there is, else the CPU; the log says which, and why.
    #[default]
    Auto,
    /// The CPU alone.
    Cpu,
    /// These, all of which must be there.
    Named(Vec<DeviceName>),
}

/// A device, as people write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceName {
    /// The plugin's kind, such as `cuda`.
    pub kind: String,
    /// Which of them.
    pub place: Place,
}

/// Which device of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Of this computer, from 0.
    Index(usize),
    /// The first one of a server, `host:port`.
    Server(String),
}

impl FromStr for DeviceRequest {
    type Err = BackendError;

    fn from_str(text: &str) -> Result<Self, BackendError> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            text => {
                let names = text.split(',').map(|name| name.trim().parse());
                let names = names.collect::<Result<Vec<DeviceName>, _>>();
                let names = names.ok().filter(|names| each_once(names));
                names.map(Self::Named).ok_or_else(|| BackendError::Request {
                    found: text.to_owned(),
                })
            }
        }
    }
}

impl FromStr for DeviceName {
    type Err = BackendError;

    fn from_str(text: &str) -> Result<Self, BackendError> {
        let bad = || BackendError::Request {
            found: text.to_owned(),
        };
        let (kind, place) = match text.split_once(':') {
            Some((kind, index)) if index.bytes().all(|byte| byte.is_ascii_digit()) => {
                (kind, Place::Index(index.parse().map_err(|_| bad())?))
            }
            Some((kind, address)) if is_address(address) => {
                (kind, Place::Server(address.to_ascii_lowercase()))
            }
            Some(_) => return Err(bad()),
            None => (text, Place::Index(0)),
        };
        let name = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !name || ["auto", "cpu"].contains(&kind) {
            return Err(bad());
        }
        Ok(Self {
            kind: kind.to_ascii_lowercase(),
            place,
        })
    }
}

/// Whether no device has two parts to play.
pub(crate) fn each_once(names: &[DeviceName]) -> bool {
    let before = |index: usize| names.iter().take(index);
    names
        .iter()
        .enumerate()
        .all(|(index, name)| before(index).all(|other| other != name))
}

/// `host:port`, with a name or an address of four numbers.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    host.bytes().all(allowed)
        // `cuda:1:2` is a slip, not a computer called 1.
        && host.bytes().any(|byte| !byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port > 0)
        && !port.starts_with('+')
}

impl fmt::Display for DeviceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Named(names) => {
                for (index, name) in names.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{name}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Index(index) => write!(f, "{}:{index}", self.kind),
            Place::Server(address) => write!(f, "{}:{address}", self.kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DeviceName, DeviceRequest, Place};

    #[test]
    fn what_asks_for_no_device_is_refused() {
        for text in [
            "",
            ":",
            "cuda:",
            "cuda:-1",
            "cuda:1:2",
            "cpu:0",
            "auto,cuda",
            "a b",
            "cuda,,cpu",
            "/x.so",
            "cuda:99999999999999999999",
            "rpc:server",
            "rpc:server:0",
            "rpc:server:65536",
            "rpc:server:+1",
            "rpc::50052",
            "rpc:a b:1",
            "cuda:0,cuda:0",
            "cuda,CUDA:00",
        ] {
            let error = text.parse::<DeviceRequest>().unwrap_err();
            assert!(
                error.to_string().starts_with("Expected a device such as"),
                "{text}"
            );
        }
        let name = |kind: &str, index| DeviceName {
            kind: kind.into(),
            place: Place::Index(index),
        };
        assert_eq!(
            "CUDA, twin:3".parse::<DeviceRequest>().unwrap(),
            DeviceRequest::Named(vec![name("cuda", 0), name("twin", 3)])
        );
    }

    #[test]
    fn a_server_is_asked_for_by_its_address() {
        let text = "rpc:127.0.0.1:50052,rpc:garage-2.local:1";
        let request = text.parse::<DeviceRequest>().unwrap();
        assert_eq!(request.to_string(), text);
        let DeviceRequest::Named(names) = request else {
            panic!("{request:?}")
        };
        assert_eq!(names[0].place, Place::Server("127.0.0.1:50052".into()));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in ".{0,20}") {
            if let Ok(request) = text.parse::<DeviceRequest>() {
                prop_assert_eq!(request.to_string().parse::<DeviceRequest>().unwrap(), request);
            }
        }
    }
}
