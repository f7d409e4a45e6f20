package container

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"

	"mn/mesh"
	"mn/runner"
)

// Bounds of a pull.
const (
	pullTries   = 3
	pullTimeout = time.Hour // of each
	pullStall   = 2 * time.Minute
	pullMax     = 128 * mesh.GiB  // of what comes from a registry
	pullAgain   = 2 * time.Second // before the second try; twice that before the third
	sayEvery    = 30 * time.Second
	authMax     = 1 << 20 // bytes of a file with passwords
)

// Pulls says whether the image of a task is to be fetched.
func (e *Engine) Pulls(ctx context.Context, s runner.Spec) bool {
	switch s.Container.Pull {
	case mesh.PullNever:
		return false
	case mesh.PullAlways:
		return true
	}
	c, err := e.connect()
	if err != nil {
		return false // which comes out when it is looked for
	}
	defer c.Close()
	_, err = inspect(ctx, c, s.Container.Image)
	return errdefs.IsNotFound(err)
}

// Image sees to it that the image of a task is here, and says as whom the task runs.
func (e *Engine) Image(ctx context.Context, s runner.Spec) (user string, err error) {
	c, err := e.connect()
	if err != nil {
		return "", err
	}
	defer c.Close()
	if e.seen().Lacks != "" { // it may have come since
		if now := e.Look(ctx); now.Lacks != "" {
			return "", errors.New(now.Lacks)
		}
	}
	box := s.Container
	user, err = inspect(ctx, c, box.Image)
	switch {
	case box.Pull == mesh.PullNever && errdefs.IsNotFound(err):
		return "", fmt.Errorf("image %q is not on this node, and its pull is %q: load it there, or let it be pulled",
			box.Image, box.Pull)
	case err == nil && box.Pull != mesh.PullAlways:
	case err != nil && !errdefs.IsNotFound(err):
		return "", fmt.Errorf("look for image %q: %w", box.Image, err)
	default:
		if err := e.pull(ctx, c, &s); err != nil {
			return "", err
		}
		if user, err = inspect(ctx, c, box.Image); err != nil {
			return "", fmt.Errorf("look for image %q: %w", box.Image, err)
		}
	}
	if s.User != "" {
		return s.User, nil
	}
	return user, nil
}

// inspect is the user of an image that is here.
func inspect(ctx context.Context, c *client.Client, image string) (user string, err error) {
	ctx, done := context.WithTimeout(ctx, callTimeout)
	defer done()
	found, err := c.ImageInspect(ctx, image)
	if err != nil || found.Config == nil {
		return "", err
	}
	return found.Config.User, nil
}

// pull fetches an image, and tells how that goes.
func (e *Engine) pull(ctx context.Context, c *client.Client, s *runner.Spec) error {
	image := s.Container.Image
	auth, err := authFor(image)
	if err != nil {
		return err
	}
	say := func(format string, args ...any) {
		if e.cfg.Say != nil {
			e.cfg.Say(s.Alloc, s.Task, fmt.Sprintf("task %s: ", s.Task)+fmt.Sprintf(format, args...))
		}
	}
	say("pulls image %q", image)
	began := time.Now()
	for try := 1; ; try++ {
		err := pullOnce(ctx, c, image, auth, func(p progress) { say("pulls image %q: %v", image, p) })
		switch {
		case err == nil:
			say("has pulled image %q in %v", image, time.Since(began).Round(time.Second))
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case try == pullTries || final(err):
			return fmt.Errorf("pull image %q: %w", image, remedy(image, auth, err))
		}
		say("will try again to pull image %q: %v", image, err)
		select {
		case <-time.After(pullAgain * time.Duration(try)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// final says whether another try would come to the same.
func final(err error) bool {
	if large := (oversizeError{}); errors.As(err, &large) {
		return true
	}
	return errdefs.IsNotFound(err) || errdefs.IsUnauthorized(err) || errdefs.IsPermissionDenied(err) ||
		errdefs.IsInvalidArgument(err) || denied(err)
}

// refusals are the words with which registries refuse.
var refusals = []string{"unauthorized", "denied", "authentication required", "manifest unknown", "not found"}

// denied says whether a registry has refused: engines hand that on as text.
func denied(err error) bool {
	text := strings.ToLower(err.Error())
	return slices.ContainsFunc(refusals, func(sign string) bool { return strings.Contains(text, sign) })
}

// remedy is the error with what to do about it.
func remedy(image, auth string, err error) error {
	text := strings.ToLower(err.Error())
	switch {
	case auth == "" && (strings.Contains(text, "unauthorized") || strings.Contains(text, "denied") ||
		strings.Contains(text, "authentication required")):
		return fmt.Errorf("%w: no such image, or the agent's user has no password for its registry: "+
			"log in there on the node with podman login or docker login", err)
	case strings.Contains(text, "manifest unknown") || strings.Contains(text, "not found"):
		return fmt.Errorf("%w: look at the name and tag of %q", err, image)
	}
	return err
}

// progress is how much of an image is there.
type progress struct{ done, of int64 }

// String is the progress in words.
func (p progress) String() string {
	if p.of <= 0 {
		return "under way"
	}
	return fmt.Sprintf("%d %% of %v", 100*p.done/p.of, mesh.Bytes(p.of))
}

// oversizeError is of an image that is not fetched any further.
type oversizeError struct{ bytes int64 }

// Error implements error.
func (e oversizeError) Error() string {
	return fmt.Sprintf("it has %v, and no more than %v are fetched: have it loaded on the node",
		mesh.Bytes(e.bytes), pullMax)
}

// layersMax bounds the parts of an image whose progress is added up.
const layersMax = 1024

// pullOnce fetches an image, unless nothing is heard of it for long.
func pullOnce(ctx context.Context, c *client.Client, image, auth string, say func(progress)) error {
	ctx, done := context.WithTimeout(ctx, pullTimeout)
	defer done()
	stall := time.AfterFunc(pullStall, done)
	defer stall.Stop()
	r, err := c.ImagePull(ctx, image, client.ImagePullOptions{RegistryAuth: auth})
	if err != nil {
		return err
	}
	defer r.Close()
	layers, said := map[string]progress{}, time.Now()
	for m, err := range r.JSONMessages(ctx) {
		if err != nil {
			if ctx.Err() != nil && !stall.Stop() {
				return fmt.Errorf("nothing of it came for %v", pullStall)
			}
			return err
		}
		stall.Reset(pullStall)
		if m.Error != nil {
			return errors.New(m.Error.Message)
		}
		if m.Progress != nil && m.ID != "" {
			if _, known := layers[m.ID]; !known && len(layers) >= layersMax {
				return fmt.Errorf("it has more than %d layers", layersMax)
			}
			layers[m.ID] = progress{m.Progress.Current, max(m.Progress.Total, layers[m.ID].of)}
		}
		var all progress
		for _, l := range layers {
			all.done, all.of = all.done+l.done, all.of+max(l.done, l.of)
		}
		if all.of > int64(pullMax) {
			return oversizeError{all.of}
		}
		if time.Since(said) < sayEvery {
			continue
		}
		said = time.Now()
		say(all)
	}
	return nil
}

// authFiles are where the passwords of registries are, in the order in which they are looked at.
func authFiles() []string {
	var all []string
	if f := os.Getenv("REGISTRY_AUTH_FILE"); f != "" {
		all = append(all, f)
	}
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		all = append(all, filepath.Join(dir, "config.json"))
	}
	home, err := os.UserHomeDir()
	if err != nil && os.Geteuid() == 0 {
		home = "/root" // an agent that a service manager has started has none
	}
	run := os.Getenv("XDG_RUNTIME_DIR")
	if run == "" {
		run = fmt.Sprintf("/run/user/%d", os.Geteuid())
	}
	return append(all,
		filepath.Join(home, ".docker", "config.json"),
		fmt.Sprintf("/run/containers/%d/auth.json", os.Geteuid()),
		filepath.Join(run, "containers", "auth.json"),
		filepath.Join(home, ".config", "containers", "auth.json"),
	)
}

// authFor is what an engine needs to know to fetch an image; "" if it is for everybody, as far
// as is known here.
func authFor(image string) (string, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", fmt.Errorf("read name of image %q: %w", image, err)
	}
	domain := reference.Domain(named)
	for _, file := range authFiles() {
		auth, err := authIn(file, domain)
		if err != nil {
			return "", err
		}
		if auth != nil {
			return authconfig.Encode(*auth)
		}
	}
	return "", nil
}

// authIn is what a file has for a registry, or nil.
func authIn(file, domain string) (*registry.AuthConfig, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil // there is none, or it is not for us
	}
	defer f.Close()
	var kept struct {
		Auths map[string]struct {
			Auth          string `json:"auth"`
			IdentityToken string `json:"identitytoken"`
		} `json:"auths"`
	}
	if err := json.NewDecoder(io.LimitReader(f, authMax)).Decode(&kept); err != nil {
		return nil, fmt.Errorf("read passwords of registries in %q: %w", file, err)
	}
	keys := []string{domain, "https://" + domain, "https://" + domain + "/v1/", "https://" + domain + "/v2/"}
	if domain == "docker.io" {
		keys = append(keys, "https://index.docker.io/v1/", "index.docker.io")
	}
	for _, key := range keys {
		a, ok := kept.Auths[key]
		if !ok || a.Auth == "" && a.IdentityToken == "" {
			continue // the password may be with a helper: then people pull by hand
		}
		text, err := base64.StdEncoding.DecodeString(a.Auth)
		if err != nil {
			return nil, fmt.Errorf("read password of registry %q in %q: %w", key, file, err)
		}
		user, password, _ := strings.Cut(string(text), ":")
		return &registry.AuthConfig{
			Username: user, Password: strings.TrimRight(password, "\x00"), IdentityToken: a.IdentityToken,
			ServerAddress: domain,
		}, nil
	}
	return nil, nil
}
