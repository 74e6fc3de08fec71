//! Where the control API may listen.

use std::net::IpAddr;

/// Listening there would open the owner's work to the network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} is not a loopback address, and everyone who reaches it could try the token made for \
     this user; give an owner token of your own (SPECWRIGHT_OWNER_TOKEN), or listen on 127.0.0.1"
)]
pub struct ListenRefused {
    /// The address that was asked for.
    pub address: IpAddr,
}

/// Says whether the control API may listen there: on loopback always, elsewhere only with a token
/// that someone gave explicitly.
///
/// # Errors
/// [`ListenRefused`], with the remedy.
pub fn check_listen(address: IpAddr, token_given: bool) -> Result<(), ListenRefused> {
    if address.is_loopback() || token_given { Ok(()) } else { Err(ListenRefused { address }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_needs_no_token() {
        for loopback in ["127.0.0.1", "127.9.9.9", "::1"] {
            assert_eq!(check_listen(loopback.parse().unwrap(), false), Ok(()));
        }
        for open in ["0.0.0.0", "::", "192.168.1.5"] {
            let address: IpAddr = open.parse().unwrap();
            assert_eq!(check_listen(address, false), Err(ListenRefused { address }));
            assert_eq!(check_listen(address, true), Ok(()));
        }
    }
}
