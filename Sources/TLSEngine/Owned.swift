import COpenSSL

/// One reference to an OpenSSL object, given up when this value ends.
struct Owned: ~Copyable {
    let pointer: OpaquePointer
    private let release: (OpaquePointer?) -> Void

    /// Takes over `pointer`; nil, which OpenSSL's constructors return when they fail, becomes an error that says what was tried.
    init(_ pointer: OpaquePointer?, _ release: @escaping (OpaquePointer?) -> Void, _ doing: String) throws(TLSError) {
        guard let pointer else { throw ErrorQueue.environment(doing) }
        self.pointer = pointer
        self.release = release
    }

    deinit {
        release(pointer)
    }
}
