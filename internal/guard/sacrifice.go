// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"memline/internal/exit"
	"memline/internal/kernel"
)

// Sacrifice makes the calling process the kernel's first choice when memory runs out, and has it terminated when its
// parent dies. It fails where the parent died meanwhile.
func Sacrifice(root kernel.FS) error {
	// Raising the score is anybody's right; only lowering needs CAP_SYS_RESOURCE.
	const firstVictim = "1000"
	if err := os.WriteFile(root.Path("proc/self/oom_score_adj"), []byte(firstVictim), 0); err != nil {
		return exit.New(exit.Privilege, "oom_score_adj", "offering this process to the OOM killer: %w; it takes no memory without that", err)
	}
	parent := os.Getppid()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		return fmt.Errorf("asking for a signal at the parent's death: %w", err)
	}
	if os.Getppid() != parent { // it died before the kernel had noted the wish
		return exit.New(exit.Terminated, "signal", "the parent process ended")
	}
	return nil
}
