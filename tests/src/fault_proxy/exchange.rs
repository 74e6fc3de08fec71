//! One connection: a request, what befalls it, its answer.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::request::Request;
use super::{Cut, Fault, Line};

/// How much of an answer is passed on at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Carries one request and its answer. Whatever breaks, breaks this connection: that is what a
/// network does.
pub(super) async fn carry(line: &Line, mut client: TcpStream) {
    let carried = async {
        let Some(request) = Request::read(&mut client).await? else { return Ok(()) };
        cut_off(line).await?;
        befall(line, &mut client, &request).await
    };
    if carried.await.is_err() {
        reset(client);
    }
}

/// What befalls a request.
async fn befall(line: &Line, client: &mut TcpStream, request: &Request) -> io::Result<()> {
    match line.fault_for(&request.route) {
        None => answer(line, client, request, usize::MAX).await,
        Some(Fault::ResetBefore) => Err(broken("reset before the request")),
        Some(Fault::ResetAfter) => {
            swallow(line, request).await?;
            Err(broken("reset after the request"))
        }
        Some(Fault::BlackHole { ms }) => {
            wait(ms).await;
            Err(broken("a black hole"))
        }
        Some(Fault::Slow { ms }) => {
            wait(ms).await;
            answer(line, client, request, usize::MAX).await
        }
        Some(Fault::Duplicate) => {
            swallow(line, request).await?;
            answer(line, client, request, usize::MAX).await
        }
        Some(Fault::Reorder { ms }) => {
            // The client is told at once, and repeats it; this copy comes behind.
            client.set_zero_linger()?;
            client.shutdown().await?;
            wait(ms).await;
            swallow(line, request).await
        }
        Some(Fault::Truncate { bytes }) => answer(line, client, request, bytes).await,
    }
}

/// Carries a request out and passes its answer on, up to so many bytes.
async fn answer(
    line: &Line,
    client: &mut TcpStream,
    request: &Request,
    mut most: usize,
) -> io::Result<()> {
    let mut backend = send(line, request).await?;
    let mut cut = line.cut.subscribe();
    let (mut chunk, mut more) = (vec![0; CHUNK_BYTES], [0; 1]);
    loop {
        tokio::select! {
            read = backend.read(&mut chunk) => {
                let read = read?;
                let passed = read.min(most);
                client.write_all(&chunk[..passed]).await?;
                most -= passed;
                if read == 0 || most == 0 {
                    return client.shutdown().await;
                }
            }
            // It says no more on this connection: this is its end.
            _ = client.read(&mut more) => return Ok(()),
            _ = cut.changed() => cut_off(line).await?,
        }
    }
}

/// Carries a request out; its answer goes nowhere.
async fn swallow(line: &Line, request: &Request) -> io::Result<()> {
    let mut answer = Vec::new();
    send(line, request).await?.read_to_end(&mut answer).await?;
    Ok(())
}

async fn send(line: &Line, request: &Request) -> io::Result<TcpStream> {
    let backend = *line.backend.borrow();
    let mut backend = TcpStream::connect(backend.ok_or_else(|| broken("no backend"))?).await?;
    backend.write_all(&request.bytes).await?;
    Ok(backend)
}

/// While the network is cut, nothing gets past here.
async fn cut_off(line: &Line) -> io::Result<()> {
    let mut cut = line.cut.subscribe();
    let now = *cut.borrow_and_update();
    match now {
        None => Ok(()),
        Some(Cut::Reset) => Err(broken("the network is cut")),
        Some(Cut::BlackHole) => {
            // A sender that is gone is the end of the proxy, and of the connection.
            drop(cut.wait_for(Option::is_none).await);
            Err(broken("the network was cut"))
        }
    }
}

/// Closes a connection with a reset instead of an orderly end.
fn reset(client: TcpStream) {
    // Without it the close is orderly, which breaks the exchange no less.
    drop(client.set_zero_linger());
    drop(client);
}

async fn wait(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn broken(how: &'static str) -> io::Error {
    io::Error::other(how)
}
