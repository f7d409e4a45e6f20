package identity

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

func found(t *testing.T) *Identity {
	t.Helper()
	id, err := Found(t.TempDir(), mesh.Worker, time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// join makes another member of founder's mesh.
func join(t *testing.T, founder *Identity, now time.Time) *Identity {
	t.Helper()
	dir := t.TempDir()
	key, err := EnsureKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := founder.Authority()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(key.Public(), mesh.Witness, now)
	if err != nil {
		t.Fatal(err)
	}
	id, err := Admit(dir, key, Admission{cert, ca.Certificate(), founder.Keyring()}, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestAnIdentityIsTheSameAfterARestart(t *testing.T) {
	made := found(t)
	loaded, err := Load(made.dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if loaded.ID() != made.ID() || loaded.Mesh() != made.Mesh() || loaded.Key().ResetKey() != made.Key().ResetKey() {
		t.Errorf("loaded %q of mesh %q, made %q of %q", loaded.ID(), loaded.Mesh(), made.ID(), made.Mesh())
	}
	if string(loaded.Keyring()[0]) != string(made.Keyring()[0]) {
		t.Error("the gossip key has changed")
	}
	again, err := EnsureKey(made.dir)
	if err != nil || again.ID() != made.ID() {
		t.Errorf("EnsureKey made another key: %v, %v", again.ID(), err)
	}
}

func TestEveryFileIsForItsOwnerOnly(t *testing.T) {
	id := found(t)
	files, err := os.ReadDir(id.dir)
	if err != nil || len(files) != 5 {
		t.Fatalf("got %d files, want 5 (%v)", len(files), err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o, want 0600", f.Name(), info.Mode().Perm())
		}
	}
}

func TestFilesThatOthersCanReadAreRefused(t *testing.T) {
	for _, name := range []string{keyFile, certificateFile, caFile, keyringFile} {
		id := found(t)
		path := filepath.Join(id.dir, name)
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		_, err := Load(id.dir, time.Now())
		if err == nil || !strings.Contains(err.Error(), "chmod 600") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want an error that names it and says what to do", name, err)
		}
	}
}

func TestADirectoryThatOthersCanWriteToIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := EnsureKey(dir); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("got %v", err)
	}
}

func TestANodeWithoutAMeshSaysSo(t *testing.T) {
	dir := t.TempDir()
	if _, err := EnsureKey(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir, time.Now()); !errors.Is(err, ErrNotAdmitted) {
		t.Errorf("got %v, want ErrNotAdmitted", err)
	}
}

func TestANodeBelongsToOneMeshOnly(t *testing.T) {
	id := found(t)
	_, err := Found(id.dir, mesh.Worker, time.Now(), nil)
	if err == nil || !strings.Contains(err.Error(), "already belongs to one") {
		t.Errorf("got %v", err)
	}
}

func TestTheCAKeyIsReadableByItsNodeOnly(t *testing.T) {
	a := found(t)
	b := join(t, a, time.Now())
	if _, err := b.Authority(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a node without the CA's key: got %v", err)
	}
	ca, err := a.Authority()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := os.ReadFile(filepath.Join(a.dir, caKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(plain), string(ca.key.Seed())) {
		t.Error("the CA's key lies in the file in clear")
	}
	// Copied to another node, it is of no use.
	if err := os.WriteFile(filepath.Join(b.dir, caKeyFile), plain, 0o600); err != nil {
		t.Fatal(err)
	}
	if b.HasAuthority() {
		t.Error("a file that b cannot read counts as the CA's key")
	}
	if _, err := b.Authority(); err == nil || !strings.Contains(err.Error(), "another node's key") {
		t.Errorf("a copied CA key: got %v", err)
	}
	// Handed over properly, it is.
	secret, err := ca.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	handed, err := ParseAuthority(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.KeepAuthority(handed); err != nil {
		t.Fatal(err)
	}
	if !b.HasAuthority() {
		t.Error("b does not know that it has the CA's key")
	}
	if got, err := b.Authority(); err != nil || got.Fingerprint() != a.Fingerprint() {
		t.Errorf("after it was handed over: got %v", err)
	}
	if err := b.KeepAuthority(mustCA(t)); err == nil {
		t.Error("kept the CA key of another mesh")
	}
}

func mustCA(t *testing.T) *Authority {
	t.Helper()
	ca, err := NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestARenewedCertificateIsUsedAndKept(t *testing.T) {
	now := time.Now()
	id := found(t)
	due := id.RenewAt()
	if early, late := now.Add(NodeLife*45/100), now.Add(NodeLife*68/100); due.Before(early) || due.After(late) {
		t.Errorf("renewal is due at %v, want between %v and %v", due, early, late)
	}
	ca, err := id.Authority()
	if err != nil {
		t.Fatal(err)
	}
	later := due.Add(time.Minute)
	cert, err := ca.Sign(id.Public(), mesh.Worker, later)
	if err != nil {
		t.Fatal(err)
	}
	before := id.Expires()
	if err := id.Renew(cert, later); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(id.dir, later)
	if err != nil {
		t.Fatal(err)
	}
	if !loaded.Expires().After(before) || !loaded.Expires().Equal(id.Expires()) {
		t.Errorf("certificate ends %v, %v after a restart; it ended %v", id.Expires(), loaded.Expires(), before)
	}
	other := join(t, id, now)
	wrong, err := ca.Sign(other.Public(), mesh.Worker, later)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.Renew(wrong, later); err == nil {
		t.Error("took another node's certificate")
	}
}

func TestAnExpiredNodeStillLoads(t *testing.T) {
	id := found(t)
	if _, err := Load(id.dir, time.Now().Add(2*NodeLife)); err != nil {
		t.Errorf("got %v: a node must be able to ask for a new certificate", err)
	}
}

func TestANodeLoadsBeforeItsClockIsSet(t *testing.T) {
	id := found(t)
	if _, err := Load(id.dir, time.Unix(0, 0)); err != nil {
		t.Errorf("got %v: the time comes from the network, later", err)
	}
}

func TestAProofIsWorthNothingOnAnotherConnection(t *testing.T) {
	key := found(t).Key()
	proof := key.Prove([]byte("this connection"))
	if err := CheckProof(key.Public(), []byte("this connection"), proof); err != nil {
		t.Errorf("its own: %v", err)
	}
	if CheckProof(key.Public(), []byte("another"), proof) == nil {
		t.Error("a replayed proof passed")
	}
	if CheckProof(found(t).Public(), []byte("this connection"), proof) == nil {
		t.Error("another key's proof passed")
	}
	if CheckProof(key.Public()[:5], []byte("this connection"), proof) == nil {
		t.Error("a short key passed")
	}
}

func TestAnAdmissionOfAnotherMeshIsRefused(t *testing.T) {
	a, b := found(t), found(t)
	now := time.Now()
	of := func(x *Identity) Admission {
		return Admission{x.certificate().Raw, x.CA(), x.Keyring()}
	}
	if err := of(a).Check(a.Fingerprint(), a.Public(), now); err != nil {
		t.Errorf("its own: %v", err)
	}
	if err := of(b).Check(a.Fingerprint(), b.Public(), now); !errors.Is(err, ErrWrongMesh) {
		t.Errorf("another mesh's: got %v", err)
	}
	if err := of(a).Check(a.Fingerprint(), b.Public(), now); err == nil {
		t.Error("a certificate for another key passed")
	}
	mixed := of(a)
	mixed.Certificate = of(b).Certificate
	if err := mixed.Check(a.Fingerprint(), b.Public(), now); err == nil {
		t.Error("a certificate of another CA passed")
	}
	bare := of(a)
	bare.Keyring = Keyring{{1, 2, 3}}
	if err := bare.Check(a.Fingerprint(), a.Public(), now); err == nil {
		t.Error("a keyring with a short key passed")
	}
}

func TestAFileIsReplacedWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for _, text := range []string{"first", "second and longer", "3"} {
		if err := writeSecret(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := readSecret(path); err != nil || string(b) != text {
			t.Fatalf("got %q, %v, want %q", b, err, text)
		}
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Errorf("%d files are left, want 1 (%v)", len(files), err)
	}
	if err := os.WriteFile(path, make([]byte, maxFileSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readSecret(path); err == nil {
		t.Error("read a file over the limit")
	}
}
