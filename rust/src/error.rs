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

// Only what the calls of this crate can meet is spelled out: to turn any error of xet-core into text would bring
// the texts of everything that it wraps into the module.
impl From<CoreError> for CodecError {
    fn from(error: CoreError) -> Self {
        Self::Malformed(match error {
            CoreError::Io(io) => return io.into(),
            CoreError::MalformedData(text) => format!("Malformed data: {text}"),
            CoreError::InvalidShard(text) => format!("Invalid shard: {text}"),
            CoreError::ShardVersion(text) => format!("Shard version error: {text}"),
            CoreError::ChunkHeaderParse => "Chunk header parse error".into(),
            _ => "xet-core refused the data".into(),
        })
    }
}

impl From<std::io::Error> for CodecError {
    fn from(error: std::io::Error) -> Self {
        match (error.kind(), error.into_inner()) {
            (std::io::ErrorKind::UnexpectedEof, _) => {
                Self::Truncated("the data ends too early".into())
            }
            (_, Some(inner)) => Self::Malformed(inner.to_string()),
            (_, None) => Self::malformed("the data cannot be read"),
        }
    }
}
