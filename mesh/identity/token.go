package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// The parts of a token: "mn1.<id>.<secret>.<CA fingerprint>".
const (
	tokenVersion    = "mn1"
	tokenIDSize     = 5  // bytes: 8 characters
	tokenSecretSize = 20 // bytes: 32 characters
	tokenParts      = 4
)

// Token is a join token as its bearer holds it. The mesh itself keeps only the
// hash of the secret (mesh.Token).
type Token struct {
	ID     string
	Secret string
	CA     Fingerprint // of the mesh that it is for: checked before the secret is said
}

// NewToken makes a token for the mesh of that CA.
func NewToken(ca Fingerprint) (Token, error) {
	b := make([]byte, tokenIDSize+tokenSecretSize)
	if _, err := rand.Read(b); err != nil {
		return Token{}, fmt.Errorf("make token: %w", err)
	}
	return Token{
		ID:     text32.EncodeToString(b[:tokenIDSize]),
		Secret: text32.EncodeToString(b[tokenIDSize:]),
		CA:     ca,
	}, nil
}

// String is the token in full, secret included.
func (t Token) String() string {
	return strings.Join([]string{tokenVersion, t.ID, t.Secret, t.CA.String()}, ".")
}

// Hash is what the mesh keeps of the secret.
func (t Token) Hash() []byte { return HashSecret(t.Secret) }

// HashSecret is what the mesh keeps of a token's secret. The secret is random
// and long, so a plain hash does not help anyone to guess it.
func HashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// ParseToken reads a token. Its errors never repeat the secret.
func ParseToken(s string) (Token, error) {
	parts := strings.Split(strings.TrimSpace(s), ".")
	if parts[0] != tokenVersion {
		return Token{}, errors.New("parse token: it does not begin with \"mn1.\": is it a join token?")
	}
	if len(parts) != tokenParts {
		return Token{}, fmt.Errorf("parse token: it has %d parts, want %d: is it complete?",
			len(parts), tokenParts)
	}
	if err := checkText(parts[1], tokenIDSize); err != nil {
		return Token{}, fmt.Errorf("parse token: id: %w", err)
	}
	if err := checkText(parts[2], tokenSecretSize); err != nil {
		return Token{}, fmt.Errorf("parse token: secret: %w", err)
	}
	if err := checkText(parts[3], sha256.Size); err != nil {
		return Token{}, fmt.Errorf("parse token: CA fingerprint: %w", err)
	}
	ca, err := parseFingerprint(parts[3])
	if err != nil {
		return Token{}, fmt.Errorf("parse token: CA fingerprint: %w", err)
	}
	return Token{ID: parts[1], Secret: parts[2], CA: ca}, nil
}

// checkText says what is wrong with s as the text of size bytes.
func checkText(s string, size int) error {
	if want := text32.EncodedLen(size); len(s) != want {
		return fmt.Errorf("it has %d characters, want %d", len(s), want)
	}
	b, err := text32.DecodeString(s)
	if err != nil || text32.EncodeToString(b) != s {
		return errors.New("it has a character that no token has")
	}
	return nil
}
