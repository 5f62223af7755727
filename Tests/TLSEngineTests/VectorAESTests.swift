import COpenSSL
import Testing

#if canImport(Glibc)
import Glibc

/// What has to be there for libIPSec_MB to be of use, by other means than adit's.
private let isWanted =
    OpenSSL_version_num() < 0x3010_0000 && access("/usr/include/intel-ipsec-mb.h", R_OK) == 0
    && ["avx512f", "avx512_bitalg", "vaes", "vpclmulqdq", "gfni", "avx512ifma", "sha_ni"]
        .allSatisfy(processorFlags.contains)

private let processorFlags: Set<Substring> = {
    guard let file = fopen("/proc/cpuinfo", "r") else { return [] }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 16 * 1024)
    while fgets(&line, Int32(line.count), file) != nil {
        let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        if text.hasPrefix("flags") { return Set(text.split { $0.isWhitespace }) }
    }
    return []
}()
#else
private let isWanted = false
#endif

/// OpenSSL's own AES-128-GCM is the judge.
@Suite(
    "AES-128-GCM of libIPSec_MB",
    .enabled(if: isWanted, "needs libipsec-mb-dev, a processor with AVX-512 and VAES, and OpenSSL before 3.1"))
struct VectorAESTests {
    private let properties: UnsafePointer<CChar>

    init() throws {
        properties = try #require(adit_vector_aes_properties(), "all is there, and it is not in use")
    }

    @Test func `who does not ask for it gets OpenSSL's`() throws {
        for (properties, provider) in [(nil, "default"), (properties, "adit")] {
            let cipher = try #require(EVP_CIPHER_fetch(nil, "AES-128-GCM", properties))
            defer { EVP_CIPHER_free(cipher) }
            #expect(String(cString: OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(cipher))) == provider)
        }
    }

    @Test func `an administrator's choice of providers stays in force`() throws {
        let library = try #require(OSSL_LIB_CTX_new())
        defer {
            OSSL_LIB_CTX_free(library)
            ERR_clear_error()
        }
        func hasSHA256() -> Bool {
            let digest = EVP_MD_fetch(library, "SHA256", properties)
            defer { EVP_MD_free(digest) }
            return digest != nil
        }
        #expect(hasSHA256())
        #expect(EVP_set_default_properties(library, "provider=another") == 1)
        #expect(!hasSHA256())
    }

    private let key: [UInt8] = (0..<16).map { _ in .random(in: 0...255) }
    private let iv: [UInt8] = (0..<12).map { _ in .random(in: 0...255) }
    private let header: [UInt8] = [23, 3, 3, 1, 2]

    @Test func `the vectors of its specification come out`() throws {
        // D. McGrew, J. Viega: The Galois/Counter Mode of Operation, appendix B, test case 3.
        let key = bytes("feffe9928665731c6d6a8f9467308308")
        let iv = bytes("cafebabefacedbaddecaf888")
        let text = bytes(
            """
            d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
            1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255
            """)
        let sealed = bytes(
            """
            42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
            21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985
            """)
        let cipher = try Cipher(ours: true, key: key, encrypts: true)
        let result = try #require(cipher.run(iv: iv, header: [], text: text))
        #expect(result.text == sealed)
        #expect(result.tag == bytes("4d5c2af327cd64a62cf35abd2ba6fab4"))
    }

    @Test func `records of every length are sealed as OpenSSL seals them, and opened again, in place`() throws {
        let seals = try Cipher(ours: true, key: key, encrypts: true)
        let opens = try Cipher(ours: true, key: key, encrypts: false)
        let judge = try Cipher(ours: false, key: key, encrypts: true)
        for length in Array(1...1100) + [4095, 4096, 4097, 16383, 16384, 16385, 16640] {
            var iv = iv
            iv[0] = UInt8(truncatingIfNeeded: length)
            let text = (0..<length).map { _ in UInt8.random(in: 0...255) }
            let sealed = try #require(seals.run(iv: iv, header: header, text: text))
            let expected = try #require(judge.run(iv: iv, header: header, text: text))
            #expect(sealed.text == expected.text && sealed.tag == expected.tag, "\(length) bytes")
            let opened = opens.run(iv: iv, header: header, text: sealed.text, tag: sealed.tag)
            #expect(opened?.text == text, "\(length) bytes")
        }
    }

    @Test func `a header may come in pieces, the text lie elsewhere, and the key change`() throws {
        let seals = try Cipher(ours: true, key: key, encrypts: true)
        for key in [key, key.reversed()] {
            let text = Array("what is sealed".utf8)
            let expected = try #require(
                Cipher(ours: false, key: key, encrypts: true).run(iv: iv, header: header, text: text))
            #expect(seals.begin(key: key))
            #expect(seals.begin(iv: iv))
            #expect(seals.addHeader(Array(header[..<2])))
            #expect(seals.addHeader(Array(header[2...])))
            var sealed = [UInt8](repeating: 0, count: text.count)
            #expect(seals.add(text, into: &sealed))
            #expect(seals.finish())
            #expect(sealed == expected.text && seals.tag == expected.tag)
        }
    }

    @Test func `no bit of text, header, tag, IV or key may differ`() throws {
        let text = Array("what was meant".utf8)
        let sealed = try #require(Cipher(ours: true, key: key, encrypts: true).run(iv: iv, header: header, text: text))
        let opens = try Cipher(ours: true, key: key, encrypts: false)
        for bit in 0..<8 {
            func altered(_ bytes: [UInt8]) -> [[UInt8]] {
                bytes.indices.map { place in
                    var bytes = bytes
                    bytes[place] ^= 1 << bit
                    return bytes
                }
            }
            for text in altered(sealed.text) {
                #expect(opens.run(iv: iv, header: header, text: text, tag: sealed.tag) == nil)
            }
            for tag in altered(sealed.tag) {
                #expect(opens.run(iv: iv, header: header, text: sealed.text, tag: tag) == nil)
            }
            for header in altered(header) {
                #expect(opens.run(iv: iv, header: header, text: sealed.text, tag: sealed.tag) == nil)
            }
            for iv in altered(iv) {
                #expect(opens.run(iv: iv, header: header, text: sealed.text, tag: sealed.tag) == nil)
            }
            for key in altered(key) {
                let opens = try Cipher(ours: true, key: key, encrypts: false)
                #expect(opens.run(iv: iv, header: header, text: sealed.text, tag: sealed.tag) == nil)
            }
        }
        // And still opens what is genuine.
        #expect(opens.run(iv: iv, header: header, text: sealed.text, tag: sealed.tag)?.text == text)
    }

    @Test func `without a tag nothing is genuine, nor with the last message's`() throws {
        let sealed = try #require(Cipher(ours: true, key: key, encrypts: true).run(iv: iv, header: header, text: [1]))
        let opens = try Cipher(ours: true, key: key, encrypts: false)
        #expect(opens.run(iv: iv, header: header, text: sealed.text, tag: sealed.tag) != nil)
        #expect(opens.begin(iv: iv))
        #expect(opens.addHeader(header))
        #expect(opens.add(sealed.text) != nil)
        #expect(!opens.finish())
    }

    @Test func `one IV serves for one message`() throws {
        let seals = try Cipher(ours: true, key: key, encrypts: true)
        #expect(seals.add([1]) == nil, "a message without an IV")
        #expect(seals.run(iv: iv, header: header, text: [1]) != nil)
        #expect(seals.add([2]) == nil)
        #expect(!seals.finish())
        #expect(seals.begin(iv: iv))
        #expect(seals.add([1]) != nil)
        #expect(seals.tag == nil, "the message has no tag before its end")
        #expect(seals.add([2]) == nil, "text comes in one piece")
        #expect(!seals.addHeader(header), "the header comes first")
    }

    @Test func `what no record has is refused`() throws {
        let seals = try Cipher(ours: true, key: key, encrypts: true)
        #expect(seals.begin(iv: iv))
        #expect(seals.addHeader(header))
        #expect(!seals.addHeader([0]), "a header of six bytes")
        #expect(seals.begin(iv: iv))
        #expect(!seals.finish(), "a message without text")
        #expect(!seals.setIVLength(16))
        #expect(seals.setIVLength(12))
        #expect(!seals.setTag(Array(repeating: 0, count: 16)), "whoever seals is told no tag")
        let opens = try Cipher(ours: true, key: key, encrypts: false)
        #expect(!opens.setTag(Array(repeating: 0, count: 12)))
    }
}

/// One direction under one key, as libssl drives it.
private final class Cipher {
    private let cipher: OpaquePointer
    private let context: OpaquePointer
    private let encrypts: Bool

    init(ours: Bool, key: [UInt8], encrypts: Bool) throws {
        self.encrypts = encrypts
        cipher = try #require(EVP_CIPHER_fetch(nil, "AES-128-GCM", ours ? "provider=adit" : "provider=default"))
        context = try #require(EVP_CIPHER_CTX_new())
        try #require(EVP_CipherInit_ex(context, cipher, nil, nil, nil, encrypts ? 1 : 0) == 1)
        try #require(begin(key: key))
    }

    deinit {
        EVP_CIPHER_CTX_free(context)
        EVP_CIPHER_free(cipher)
        ERR_clear_error()
    }

    /// nil when the cipher refuses, or the tag is not that of the message.
    func run(iv: [UInt8], header: [UInt8], text: [UInt8], tag: [UInt8]? = nil) -> (text: [UInt8], tag: [UInt8])? {
        guard begin(iv: iv), tag.map(setTag) ?? true, header.isEmpty || addHeader(header), let result = add(text),
            finish(), let tag = tag ?? self.tag
        else { return nil }
        return (result, tag)
    }

    func begin(key: [UInt8]) -> Bool {
        EVP_CipherInit_ex(context, nil, nil, key, nil, encrypts ? 1 : 0) == 1
    }

    func begin(iv: [UInt8]) -> Bool {
        EVP_CipherInit_ex(context, nil, nil, nil, iv, encrypts ? 1 : 0) == 1
    }

    func addHeader(_ header: [UInt8]) -> Bool {
        var count: Int32 = 0
        return EVP_CipherUpdate(context, nil, &count, header, Int32(header.count)) == 1
    }

    /// In place, as libssl does.
    func add(_ text: [UInt8]) -> [UInt8]? {
        var memory = text
        var count: Int32 = 0
        let done = memory.withUnsafeMutableBufferPointer { room in
            EVP_CipherUpdate(context, room.baseAddress, &count, room.baseAddress, Int32(room.count)) == 1
        }
        return done && Int(count) == text.count ? memory : nil
    }

    func add(_ text: [UInt8], into output: inout [UInt8]) -> Bool {
        var count: Int32 = 0
        return EVP_CipherUpdate(context, &output, &count, text, Int32(text.count)) == 1 && Int(count) == text.count
    }

    func finish() -> Bool {
        var nothing: UInt8 = 0
        var count: Int32 = 0
        return EVP_CipherFinal_ex(context, &nothing, &count) == 1 && count == 0
    }

    var tag: [UInt8]? {
        var tag = [UInt8](repeating: 0, count: 16)
        return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, &tag) == 1 ? tag : nil
    }

    func setTag(_ tag: [UInt8]) -> Bool {
        var tag = tag
        return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tag.count), &tag) == 1
    }

    func setIVLength(_ count: Int32) -> Bool {
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, count, nil) == 1
    }
}

private func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
}
