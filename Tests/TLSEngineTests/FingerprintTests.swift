import TLSEngine
import Testing

@Suite struct FingerprintTests {
    private let text = "SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

    @Test func `text and digest name the same key`() throws {
        let fingerprint = try #require(Fingerprint(text))
        #expect(fingerprint.digest == Array(0..<32))
        #expect(fingerprint.description == text)
    }

    @Test(arguments: [
        "", "SHA256:", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "sha256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",  // padding
        "SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh",  // too short
        "SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A",  // too long
        "SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9",  // bits beyond the last byte
        "SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH-8",  // the alphabet for URLs
        "SHA256: AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh\u{e9}",
        " SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n",
    ])
    func `only the one spelling of a fingerprint is read`(text: String) {
        #expect(Fingerprint(text) == nil)
    }

    @Test func `every digest survives being written and read`() throws {
        for _ in 0..<50 {
            let fingerprint = try Identity.generate(commonName: "adit").fingerprint
            #expect(Fingerprint(fingerprint.description) == fingerprint)
            #expect(fingerprint.digest.count == 32)
        }
    }

    @Test func `keys have different fingerprints`() throws {
        let fingerprints = try (0..<20).map { _ in try Identity.generate(commonName: "adit").fingerprint }
        #expect(Set(fingerprints).count == 20)
    }

    @Test(arguments: ["EC", "RSA", "ED25519"])
    func `openssl computes the same fingerprint`(algorithm: String) throws {
        let directory = try TemporaryDirectory()
        let (key, certificate) = (directory.file("key.pem"), directory.file("cert.pem"))
        let options = algorithm == "EC" ? ["-pkeyopt", "ec_paramgen_curve:P-384"] : []
        try OpenSSL.run(["genpkey", "-algorithm", algorithm, "-out", key] + options)
        try OpenSSL.run("req", "-x509", "-key", key, "-subj", "/CN=test", "-out", certificate)
        let identity = try Identity.load(certificateFile: certificate, keyFile: key)
        #expect(try OpenSSL.fingerprint(of: certificate) == identity.fingerprint.description)
    }
}
