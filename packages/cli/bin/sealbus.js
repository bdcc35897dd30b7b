#!/usr/bin/env node
// In a workspace this is linked before anything is built, so it is no built file itself.
import '../dist/sealbus.js'
