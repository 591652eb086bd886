"""The wire: every AWS call, and what AWS answers."""
