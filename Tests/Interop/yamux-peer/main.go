// Command yamux-peer is hashicorp/yamux as a judge of our Mux: it speaks yamux on the socket that it gets as standard
// input, in either role, and does what the first line of each stream asks for. See HashicorpInteropTests. deploy/build-yamux-peer builds it.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

func main() {
	role := flag.String("role", "server", "client (opens odd streams) or server")
	flag.Parse()
	if err := run(*role); err != nil {
		fmt.Fprintln(os.Stderr, "yamux-peer:", err)
		os.Exit(1)
	}
}

func run(role string) error {
	// A file of blocking mode could not be closed while it is read from; a socket can.
	conn, err := net.FileConn(os.Stdin)
	if err != nil {
		return err
	}
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	var session *yamux.Session
	switch role {
	case "client":
		session, err = yamux.Client(conn, config)
	case "server":
		session, err = yamux.Server(conn, config)
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err != nil {
		return err
	}
	p := &peer{session: session, resume: make(chan struct{})}
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return nil // The session is over, and with it the test.
		}
		if p.serve(stream) {
			<-p.resume
		}
	}
}

type peer struct {
	session *yamux.Session
	resume  chan struct{}
	mutex   sync.Mutex
	lastErr error
}

// serve reads the first line of the stream and does what it asks for. It reports whether to stop accepting for now.
func (p *peer) serve(stream *yamux.Stream) (stall bool) {
	r := bufio.NewReader(stream)
	line, err := r.ReadString('\n')
	if err != nil {
		stream.Close()
		return false
	}
	verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	var a, b int
	fmt.Sscan(rest, &a, &b)
	if verb == "stall" {
		go func() {
			fmt.Fprintln(stream, "stalled")
			io.Copy(io.Discard, r)
			stream.Close()
			p.resume <- struct{}{}
		}()
		return true
	}
	go func() {
		defer stream.Close()
		switch verb {
		case "echo":
			io.Copy(stream, r)
		case "answer":
			// Reads to the end of the other half, then answers on its own.
			fmt.Fprintln(stream, summary(r))
		case "source":
			stream.Write(pattern(a))
		case "open":
			fmt.Fprintln(stream, p.openMany(a, b))
		case "ask":
			fmt.Fprintln(stream, p.ask(a))
		case "expect-reset":
			_, err := io.Copy(io.Discard, r)
			p.mutex.Lock()
			p.lastErr = err
			p.mutex.Unlock()
		case "last-error":
			p.mutex.Lock()
			fmt.Fprintln(stream, p.lastErr)
			p.mutex.Unlock()
		case "streams":
			fmt.Fprintln(stream, p.session.NumStreams())
		case "ping":
			_, err := p.session.Ping()
			fmt.Fprintln(stream, "ping", err)
		case "go-away":
			fmt.Fprintln(stream, "go-away", p.session.GoAway())
			io.Copy(stream, r)
		default:
			fmt.Fprintln(stream, "unknown:", verb)
		}
	}()
	return false
}

// openMany opens streams one after the other (the other side wants their IDs to rise), sends on all of them at once and
// checks that everything comes back.
func (p *peer) openMany(streams, size int) string {
	sent := pattern(size)
	results := make(chan error, streams)
	for i := 0; i < streams; i++ {
		stream, err := p.session.OpenStream()
		if err != nil {
			return err.Error()
		}
		go func() {
			go stream.Write(sent)
			got := make([]byte, size)
			_, err := io.ReadFull(stream, got)
			if err == nil && !bytes.Equal(got, sent) {
				err = fmt.Errorf("the echo on stream %d differs", stream.StreamID())
			}
			stream.Close()
			results <- err
		}()
	}
	for i := 0; i < streams; i++ {
		if err := <-results; err != nil {
			return err.Error()
		}
	}
	return "ok"
}

// ask sends, ends its half and waits for a line in answer.
func (p *peer) ask(size int) string {
	stream, err := p.session.OpenStream()
	if err != nil {
		return err.Error()
	}
	if _, err := stream.Write(pattern(size)); err != nil {
		return err.Error()
	}
	stream.Close()
	// This version of yamux says EOF on a stream closed here for as long as nothing has come, so it has to be asked
	// again until something has.
	deadline := time.Now().Add(20 * time.Second)
	var answer []byte
	buffer := make([]byte, 256)
	for time.Now().Before(deadline) && !bytes.HasSuffix(answer, []byte("\n")) {
		n, err := stream.Read(buffer)
		answer = append(answer, buffer[:n]...)
		if err != nil && err != io.EOF {
			return err.Error()
		}
		if n == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	return strings.TrimSpace(string(answer))
}

func summary(r io.Reader) string {
	sum := crc32.NewIEEE()
	n, err := io.Copy(sum, r)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %08x", n, sum.Sum32())
}

// pattern is what both sides know to expect: a block whose length, a prime, never lines up with a frame's.
func pattern(size int) []byte {
	const prime = 65521
	bytes := make([]byte, size)
	for i := range bytes {
		j := i % prime
		bytes[i] = byte(j*31 ^ j>>8)
	}
	return bytes
}
