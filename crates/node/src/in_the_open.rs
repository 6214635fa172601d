//! Who speaks plain HTTP to a node that speaks TLS is told so, instead of seeing a connection that breaks.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// As much of a request as is looked at.
const MOST: usize = 16 << 10;
/// As much of what follows as is taken in and thrown away, so that the answer is read before the connection is closed.
const MOST_OF_A_BODY: usize = 1 << 20;

/// Whether what comes first is a request of HTTP: TLS begins with another byte than any method.
pub(crate) async fn is_spoken(stream: &TcpStream) -> bool {
    let mut first = [0];
    matches!(stream.peek(&mut first).await, Ok(1)) && first[0].is_ascii_uppercase()
}

/// Says how to ask. Nothing else is answered, whatever was asked for; `own` is the address that was connected to.
pub(crate) async fn answer(mut stream: TcpStream, own: Option<SocketAddr>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !ends(&request) && request.len() < MOST {
        match stream.read(&mut part).await? {
            0 => break,
            count => request.extend_from_slice(&part[..count]),
        }
    }
    let answer = told(&String::from_utf8_lossy(&request), own);
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    let mut left = MOST_OF_A_BODY;
    while left > 0 {
        match stream.read(&mut part).await? {
            0 => break,
            count => left = left.saturating_sub(count),
        }
    }
    Ok(())
}

fn ends(request: &[u8]) -> bool {
    request.windows(4).any(|end| end == b"\r\n\r\n")
}

/// The answer to a request: for a browser a page, for a program a problem.
fn told(request: &str, own: Option<SocketAddr>) -> String {
    let field = |name: &str| {
        let fields = request.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut of_name = fields.filter(|(own, _)| own.eq_ignore_ascii_case(name));
        of_name.next().map(|(_, value)| value.trim())
    };
    let named = field("host").filter(|host| is_address(host)).map(str::to_owned);
    let address = named.or_else(|| own.map(|own| own.to_string())).unwrap_or_default();
    let (kind, body) = if field("accept").is_some_and(|kinds| kinds.contains("text/html")) {
        ("text/html; charset=utf-8", page(&address))
    } else {
        let detail = format!(
            "this node speaks TLS, and was asked in the open; write https://{address}, and name its authority's certificate with --ca"
        );
        let problem = json!({
            "type": "about:blank", "title": "Bad Request", "status": 400, "detail": detail,
        });
        ("application/problem+json", problem.to_string())
    };
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: {kind}\r\ncontent-length: {}\r\ncontent-security-policy: default-src 'none'\r\n\
         cache-control: no-store\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A host and its port, and nothing that means something in a page.
fn is_address(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']');
    !text.is_empty() && text.len() <= 255 && text.chars().all(plain)
}

fn page(address: &str) -> String {
    maud::html! {
        (maud::DOCTYPE)
        html lang="en" {
            head { title { "This node speaks TLS" } }
            body {
                h1 { "This node speaks TLS" }
                p {
                    "It was asked in the open, where others could look on. It is at "
                    a href={ "https://" (address) "/" } { "https://" (address) "/" }
                    "; your browser must trust its authority's certificate, ca.pem."
                }
            }
        }
    }
    .into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_the_address_and_a_browser_is_shown_it() {
        let own = Some("10.0.0.1:7101".parse().unwrap());
        let program = told("GET / HTTP/1.1\r\nHost: host-a:7101\r\n\r\n", own);
        assert!(program.contains("application/problem+json"), "{program}");
        assert!(program.contains("write https://host-a:7101, and"), "{program}");
        let browser = told("GET / HTTP/1.1\r\nhost: host-a\r\nAccept: text/html,*/*\r\n\r\n", own);
        assert!(browser.contains("href=\"https://host-a/\""), "{browser}");
    }

    #[test]
    fn what_is_no_address_is_not_repeated() {
        let own = Some("10.0.0.1:7101".parse().unwrap());
        for request in ["", "GET / HTTP/1.1\r\nHost: <script>\r\nAccept: text/html\r\n\r\n"] {
            let answer = told(request, own);
            assert!(answer.contains("https://10.0.0.1:7101"), "{answer}");
            assert!(!answer.contains("<script>"), "{answer}");
        }
    }
}
