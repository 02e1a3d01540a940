// Command kstatus reads Kubernetes objects as JSON documents from standard input, one after another,
// and prints for each what both kstatus libraries make of it: `sigs.k8s.io/cli-utils`, the original,
// and `github.com/fluxcd/cli-utils`, the fork that Helm 4 and Flux wait with.
//
// One line per object: NAME<tab>ORIGINAL<tab>FORK.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	fork "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	original "sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	objects := json.NewDecoder(in)
	for {
		var content map[string]any
		switch err := objects.Decode(&content); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read an object: %w", err)
		}
		object := &unstructured.Unstructured{Object: normalise(content).(map[string]any)}
		first, err := original.Compute(object)
		if err != nil {
			return fmt.Errorf("%s: %w", object.GetName(), err)
		}
		second, err := fork.Compute(object)
		if err != nil {
			return fmt.Errorf("%s: %w", object.GetName(), err)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\n", object.GetName(), first.Status, second.Status)
	}
}

// normalise turns the whole numbers that encoding/json reads as float64 into int64,
// because the unstructured accessors (observedGeneration, generation) accept nothing else.
func normalise(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			v[key] = normalise(item)
		}
	case []any:
		for i, item := range v {
			v[i] = normalise(item)
		}
	case float64:
		if whole := int64(v); float64(whole) == v {
			return whole
		}
	}
	return value
}
