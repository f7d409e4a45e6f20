// Package fetch is for getting artifacts from where they are: web servers, folders of the
// machine, git repositories.
//
// The agent fetches, and it may do more on its machine and in its network than who has written
// the job. So:
//
//  1. Of the machine's files only those are read that are in folders which the agent's
//     settings name, and are no way out of them.
//  2. A redirect leads to the same scheme, and five are enough.
//  3. Git runs without the settings, keys and hooks of the agent's user, and is not asked to
//     check anything out: see git.go.
//  4. No error repeats what may be a secret of an address: user, password, query; nor what a server
//     has said that is no web server.
//  5. Addresses of the link alone, where clouds tell machines their keys, are not asked.
//
// What comes is bounded by whoever reads it, and believed by nobody: its checksum is looked at.
package fetch

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"mn/mesh"
)

// Bounds of a transfer.
const (
	redirectsMax  = 5
	headerMax     = 64 << 10
	dialTimeout   = 10 * time.Second
	answerTimeout = time.Minute // until the first byte
	paceTimeout   = time.Minute // in which paceBytes have to come
	paceBytes     = 64 << 10
)

// Fetcher gets artifacts.
type Fetcher struct {
	Folders []string // of the machine, of which files may be fetched
	Hidden  []string // the agent's own, of which none may
	Dir     string   // where repositories are fetched to: the agent's own, and nobody else sees it
	Release string   // of the agent, which servers are told
	Client  *http.Client
	clones  chan struct{} // holds one for each repository that is fetched
}

// New is a fetcher with a client of its own.
func New(folders, hidden []string, dir, release string) *Fetcher {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: reachable}
	client := &http.Client{
		CheckRedirect: redirect,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout,
			ResponseHeaderTimeout: answerTimeout, MaxResponseHeaderBytes: headerMax, MaxIdleConnsPerHost: 1,
			IdleConnTimeout: dialTimeout, DisableCompression: true, ForceAttemptHTTP2: true,
		},
	}
	return &Fetcher{
		Folders: folders, Hidden: hidden, Dir: dir, Release: release, Client: client,
		clones: make(chan struct{}, clonesMax),
	}
}

// finalError says that to try again would change nothing.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// Final is an error that stands for one which does not go away by itself.
func Final(err error) error { return finalError{err} }

// IsFinal says whether trying again would change nothing.
func IsFinal(err error) bool { return errors.As(err, &finalError{}) }

// Open begins to fetch a file. Size is -1 if it is not known.
func (f *Fetcher) Open(ctx context.Context, a *mesh.Artifact) (r io.ReadCloser, size int64, err error) {
	u, err := a.URL()
	if err != nil {
		return nil, 0, Final(err)
	}
	if u.Scheme == "file" {
		return f.file(u.Path)
	}
	return f.get(ctx, u)
}

// redirect says whether to follow one. The address that leads on is not told to the next.
func redirect(next *http.Request, before []*http.Request) error {
	next.Header.Del("Referer")
	switch first := before[0].URL; {
	case len(before) > redirectsMax:
		return Final(fmt.Errorf("it redirects more than %d times", redirectsMax))
	case next.URL.Scheme != first.Scheme:
		return Final(fmt.Errorf("it redirects from %s:// to %s://, which is not followed: make that the source",
			first.Scheme, printable(next.URL.Scheme)))
	}
	return nil
}

// get begins to read what a web server has.
func (f *Fetcher) get(ctx context.Context, u *url.URL) (io.ReadCloser, int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, 0, Final(errors.New("it is no address of a web server"))
	}
	req.Header.Set("User-Agent", "mn/"+cmp.Or(f.Release, "unknown"))
	res, err := f.Client.Do(req)
	if err != nil {
		cancel(nil)
		return nil, 0, bare(err)
	}
	if res.StatusCode != http.StatusOK {
		cancel(nil)
		res.Body.Close()
		return nil, 0, refused(res.StatusCode)
	}
	return listen(res.Body, cancel), res.ContentLength, nil
}

// refused is what an answer without a file means.
func refused(status int) error {
	err := fmt.Errorf("the server answers %d %s", status, http.StatusText(status))
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return Final(fmt.Errorf("%w: it wants to know who asks, or does not give it", err))
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return err
	}
	if status >= http.StatusInternalServerError {
		return err
	}
	return Final(err)
}

// errLink says that an address is not to be asked.
var errLink = errors.New("its address is one of the link alone, of which nothing is fetched")

// reachable refuses addresses that mean another machine wherever they are asked.
func reachable(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("read address: %w", err)
	}
	if linked(at.Addr()) {
		return Final(errLink)
	}
	return nil
}

func linked(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast()
}

// bare is what went wrong in a transfer, in our words: those of the transport may have the address,
// which may hold secrets, and what somebody has said who is no web server, and is none of the
// job's business.
func bare(err error) error {
	var (
		dns      *net.DNSError
		timeout  net.Error
		ours     finalError
		unknown  x509.UnknownAuthorityError
		name     x509.HostnameError
		invalid  x509.CertificateInvalidError
		verified *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		alert    tls.AlertError
	)
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.Is(err, errSlow):
		return errSlow
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &dns) && dns.IsNotFound:
		return errors.New("no such host")
	case errors.As(err, &dns):
		return errors.New("its host's name cannot be looked up now")
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errors.New("the server has ended the connection")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("the server has ended before the end of the file")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return errors.New("there is no way to the server")
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalid), errors.As(err, &verified):
		return errors.New("its TLS certificate is not one to be trusted")
	case errors.As(err, &record), errors.As(err, &alert):
		return errors.New("it does not speak TLS as we do")
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("the server does not answer in time")
	}
	return errors.New("it does not answer as a web server does")
}

// listener ends a transfer in which too little comes: whoever waits for the same waits for it.
type listener struct {
	io.ReadCloser
	slow   *time.Timer
	late   atomic.Bool // it has been given up
	cancel context.CancelCauseFunc
	fresh  int // bytes that have come since the time began anew
}

var errSlow = fmt.Errorf("the server has sent less than %d KiB within %v", paceBytes>>10, paceTimeout)

func listen(r io.ReadCloser, cancel context.CancelCauseFunc) *listener {
	l := &listener{ReadCloser: r, cancel: cancel}
	l.slow = time.AfterFunc(paceTimeout, func() {
		l.late.Store(true)
		cancel(errSlow)
	})
	return l
}

// Read implements [io.Reader].
func (l *listener) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if l.fresh += n; l.fresh >= paceBytes {
		l.fresh = 0
		l.slow.Reset(paceTimeout)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = bare(err)
		if l.late.Load() {
			err = errSlow
		}
	}
	return n, err
}

func (l *listener) Close() error {
	l.slow.Stop()
	err := l.ReadCloser.Close()
	l.cancel(nil)
	return err
}

// file opens a file of this machine.
func (f *Fetcher) file(name string) (io.ReadCloser, int64, error) {
	shared := mesh.Lender(f.Folders, name)
	if shared == "" || name == shared {
		return nil, 0, Final(fmt.Errorf("%q is in no folder of which this node gives files: "+
			"name one in artifacts of its agent.toml", name))
	}
	root, err := os.OpenRoot(shared + "/.")
	if err != nil {
		return nil, 0, fmt.Errorf("open the folder of artifacts: %w", err)
	}
	defer root.Close()
	// Who writes there may have put a pipe in its place: do not wait at it.
	below := strings.TrimPrefix(strings.TrimPrefix(name, shared), "/")
	in, err := root.OpenFile(below, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, Final(fmt.Errorf("open %q in %q: %w", name, shared, errors.Unwrap(err)))
	}
	info, err := in.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%q is no regular file", name)
	}
	var real string
	if err == nil {
		real, err = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", in.Fd()))
	}
	for _, hidden := range f.Hidden {
		if err == nil && mesh.Within(real, hidden) {
			err = fmt.Errorf("%q is the agent's own", name)
		}
	}
	if err != nil {
		in.Close()
		return nil, 0, Final(err)
	}
	return in, info.Size(), nil
}

// printable is a text from outside as it may be shown.
func printable(s string) string {
	const most = 300
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s[:min(len(s), most)])
}
