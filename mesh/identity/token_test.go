package identity

import (
	"bytes"
	"strings"
	"testing"
)

func TestATokenReadsBack(t *testing.T) {
	ca := mustCA(t).Fingerprint()
	made, err := NewToken(ca)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ParseToken("  " + made.String() + "\n")
	if err != nil || read != made || read.CA != ca {
		t.Errorf("got %+v, %v", read, err)
	}
	other, err := NewToken(ca)
	if err != nil || other.ID == made.ID || other.Secret == made.Secret {
		t.Errorf("two tokens are alike: %v", err)
	}
	if bytes.Equal(made.Hash(), other.Hash()) || !bytes.Equal(made.Hash(), HashSecret(read.Secret)) {
		t.Error("the hashes do not tell the secrets apart")
	}
}

func TestAWrongTokenSaysWhatIsWrong(t *testing.T) {
	made, err := NewToken(mustCA(t).Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	s, ca := made.String(), made.CA.String()
	for _, c := range []struct{ name, token, want string }{
		{"empty", "", `does not begin with "mn1."`},
		{"another kind", "SWMTKN-1-abc", `does not begin with "mn1."`},
		{"another version", "mn2" + s[3:], `does not begin with "mn1."`},
		{"cut short", s[:30], "parts, want 4"},
		{"its end missing", s[:len(s)-5], "CA fingerprint: it has 47 characters, want 52"},
		{"a wrong character", strings.Replace(s, made.ID, "AAAAAAAA", 1), "id: it has a character"},
		{"a short secret", strings.Replace(s, made.Secret, "abc", 1), "secret: it has 3 characters, want 32"},
		{"two, one after the other", s + "." + s, "it has 8 parts"},
		{"a line break inside", strings.Replace(s, ca, ca[:20]+"\n"+ca[20:51], 1), "CA fingerprint"},
	} {
		_, err := ParseToken(c.token)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), made.Secret) {
			t.Errorf("%s: the error tells the secret", c.name)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add("mn1.aaaaaaaa.bbbb.cccc")
	f.Add("mn1..." + strings.Repeat("a", 52))
	f.Fuzz(func(t *testing.T, s string) {
		token, err := ParseToken(s)
		if err == nil && token.String() != strings.TrimSpace(s) {
			t.Errorf("%q reads as %q", s, token)
		}
	})
}
