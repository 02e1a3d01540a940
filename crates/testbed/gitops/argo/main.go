// argo: Argo CD's application controller or its repo server, whichever the first argument names.
package main

import (
	"os"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

func main() {
	argo := &cobra.Command{Use: "argo"}
	argo.AddCommand(controller.NewCommand(), reposerver.NewCommand())
	if err := argo.Execute(); err != nil {
		os.Exit(1)
	}
}
