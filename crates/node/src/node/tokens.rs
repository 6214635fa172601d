//! Tokens that this node has given out.

use super::{Node, NodeError, now_ms};
use crate::model::{DrawnToken, NewToken, Token, TokenName};
use crate::secret;
use crate::store::TokenRecord;

impl Node {
    /// Every token that was given out, by name; the node's own is none of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn tokens(&self) -> Result<Vec<Token>, NodeError> {
        Ok(self.0.store.tokens()?.into_iter().map(|record| record.token).collect())
    }

    /// Draws a token.
    ///
    /// # Errors
    /// When there is one of this name, or the store cannot be written.
    pub fn add_token(&self, wanted: NewToken) -> Result<DrawnToken, NodeError> {
        let secret = secret::draw().map_err(NodeError::Random)?;
        let NewToken { name, scope } = wanted;
        let token = Token { name: name.clone(), scope, drawn_ms: now_ms() };
        let record = TokenRecord { token: token.clone(), sha256: secret::trace(&secret) };
        self.0.store.add_token(record, || NodeError::TokenIsThere(name))?;
        Ok(DrawnToken { token, secret })
    }

    /// Takes a token away: from now on it opens nothing.
    ///
    /// # Errors
    /// When there is none, or the store cannot be written.
    pub fn remove_token(&self, name: &TokenName) -> Result<(), NodeError> {
        if self.tokens()?.iter().all(|token| token.name != *name) {
            return Err(NodeError::NoToken(name.clone()));
        }
        Ok(self.0.store.remove_token(name)?)
    }

    /// The token that `secret` is of; `None` for one that was not given out, or taken away.
    pub(crate) fn token_of(&self, secret: &str) -> Result<Option<Token>, NodeError> {
        let shown = secret::trace(secret);
        let found = self.0.store.tokens()?.into_iter().find(|record| record.sha256 == shown);
        Ok(found.map(|record| record.token))
    }
}
