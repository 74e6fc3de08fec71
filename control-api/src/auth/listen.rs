//! Where the control API may listen.

use std::net::IpAddr;

/// Listening there would open the owner's work to the network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenRefused {
    /// The token was not chosen for others to reach.
    #[error(
        "{address} is not a loopback address, and everyone who reaches it could try the token made \
         for this user; give an owner token of your own (SPECWRIGHT_OWNER_TOKEN), or listen on \
         127.0.0.1"
    )]
    NoToken {
        /// The address that was asked for.
        address: IpAddr,
    },
    /// Tokens would travel in the clear.
    #[error(
        "{address} is not a loopback address, and without TLS everyone on the way reads every token; \
         listen on 127.0.0.1 behind a proxy with TLS, or say that plain HTTP is meant"
    )]
    Plain {
        /// The address that was asked for.
        address: IpAddr,
    },
}

/// Says whether the control API may listen there: on loopback always, elsewhere only with a token
/// that someone gave explicitly, and who says that plain HTTP is meant.
///
/// # Errors
/// [`ListenRefused`], with the remedy.
pub fn check_listen(
    address: IpAddr,
    token_given: bool,
    plain_meant: bool,
) -> Result<(), ListenRefused> {
    match (token_given, plain_meant) {
        _ if address.is_loopback() => Ok(()),
        (false, _) => Err(ListenRefused::NoToken { address }),
        (true, false) => Err(ListenRefused::Plain { address }),
        (true, true) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_needs_no_token_and_no_word_about_tls() {
        for loopback in ["127.0.0.1", "127.9.9.9", "::1"] {
            assert_eq!(check_listen(loopback.parse().unwrap(), false, false), Ok(()));
        }
        for open in ["0.0.0.0", "::", "192.168.1.5"] {
            let address: IpAddr = open.parse().unwrap();
            let no_token = ListenRefused::NoToken { address };
            assert_eq!(check_listen(address, false, true), Err(no_token));
            assert_eq!(check_listen(address, true, false), Err(ListenRefused::Plain { address }));
            assert_eq!(check_listen(address, true, true), Ok(()));
        }
    }
}
