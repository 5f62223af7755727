/// A certificate authority that `openssl` runs in a test's directory.
struct Authority {
    private let directory: TemporaryDirectory
    private let name: String
    /// The authority's own certificate.
    let certificate: String
    private let key: String

    init(in directory: TemporaryDirectory, name: String = "root") throws {
        self.directory = directory
        self.name = name
        certificate = directory.file("\(name).pem")
        key = directory.file("\(name).key")
        try OpenSSL.run(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", "/CN=\(name)", "-keyout", key, "-out", certificate, "-addext", "keyUsage=keyCertSign")
    }

    private init(in directory: TemporaryDirectory, name: String, certificate: String, key: String) {
        self.directory = directory
        self.name = name
        self.certificate = certificate
        self.key = key
    }

    /// Certificate and key for `names` (`DNS:relay.example,IP:127.0.0.1`; empty for none at all).
    func issue(
        _ file: String, names: String, subject: String = "leaf", days: Int = 30, extra: String = ""
    ) throws -> (certificate: String, key: String) {
        let (leaf, leafKey) = (directory.file("\(file).pem"), directory.file("\(file).key"))
        let request = directory.file("\(file).request")
        try OpenSSL.run(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=\(subject)", "-keyout", leafKey, "-out", request)
        let extensions = try directory.write(
            (names.isEmpty ? "" : "subjectAltName=\(names)\n") + extra, to: "\(file).extensions")
        try OpenSSL.run(
            "x509", "-req", "-in", request, "-CA", certificate, "-CAkey", key, "-CAcreateserial",
            "-days", "\(days)", "-extfile", extensions, "-out", leaf)
        return (leaf, leafKey)
    }

    /// An authority below this one.
    func subordinate(_ name: String) throws -> Authority {
        let issued = try issue(name, names: "", subject: name, extra: "basicConstraints=critical,CA:TRUE\n")
        return Authority(in: directory, name: name, certificate: issued.certificate, key: issued.key)
    }
}
