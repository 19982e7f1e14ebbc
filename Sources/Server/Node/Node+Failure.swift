import LoopCore
import Tokens

extension Node {
  /// Why a node could not start, or has ended.
  public enum Failure: Error, CustomStringConvertible {
    case cannotListen(ListenFault)
    case system(SystemError)
    case certificate(TLSError)
    /// Keys for tokens that cannot be read or used.
    case keys(KeyFault)
    /// The file of `socketio-client` cannot be read.
    case client(path: String, SystemError)

    public var description: String {
      switch self {
      case .cannotListen(let fault): String(describing: fault)
      case .system(let error): String(describing: error)
      case .certificate(let error): String(describing: error)
      case .keys(let fault): String(describing: fault)
      case .client(let path, let error): "--socketio-client \(path) cannot be read: \(error)"
      }
    }

    /// Whether the settings themselves are wrong, so that every start with them fails.
    var isWrongSetting: Bool {
      switch self {
      case .cannotListen(let fault): fault.isWrongSetting
      case .certificate, .keys, .client: true
      case .system: false
      }
    }
  }
}
