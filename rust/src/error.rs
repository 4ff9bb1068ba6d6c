use xet_core_structures::CoreError;

pub type Result<T> = std::result::Result<T, CodecError>;

/// What can be wrong with bytes that came from outside. The word before the bar crosses to JavaScript and
/// decides the error code there.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("malformed|{0}")]
    Malformed(String),
    #[error("truncated|{0}")]
    Truncated(String),
    #[error("argument|{0}")]
    Argument(String),
}

impl CodecError {
    pub fn malformed(text: impl Into<String>) -> Self {
        Self::Malformed(text.into())
    }

    pub fn argument(text: impl Into<String>) -> Self {
        Self::Argument(text.into())
    }
}

impl From<CoreError> for CodecError {
    fn from(error: CoreError) -> Self {
        match error {
            CoreError::Io(io) => io.into(),
            other => Self::Malformed(other.to_string()),
        }
    }
}

impl From<std::io::Error> for CodecError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::Truncated("the data ends too early".into()),
            _ => Self::Malformed(error.to_string()),
        }
    }
}
