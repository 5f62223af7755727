/// How adit ends, by the numbers of sysexits(3). Service managers tell by them what a restart cannot mend.
enum ExitStatus: Int32 {
    /// The command line, or a value given in its stead, is wrong.
    case usage = 64
    /// Somebody who is needed is not there: a relay, an agent, a free port.
    case unavailable = 69
    /// A fault of adit.
    case software = 70
    /// Standard output takes no more.
    case inputOutput = 74
    /// The other side refused us, or we do not trust it.
    case refused = 77
    /// A file that adit needs is missing, unreadable or wrong.
    case configuration = 78
}
