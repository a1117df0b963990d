export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

// Each asks the very command that was typed, so that a project's own soorma completes itself.
const bash = String.raw`# soorma for bash. In ~/.bashrc: eval "$(soorma completions bash)"
_soorma() {
  # Bash takes words apart at = and :, so the line is read again, and what stands before the last part is not written twice.
  local line=${"$"}{COMP_LINE:0:COMP_POINT} cur=${"$"}{COMP_WORDS[COMP_CWORD]} whole before= value rest name
  local -a words
  read -ra words <<<"$line"
  while [[ ${"$"}{#words[@]} -gt 1 && ${"$"}{words[0]} != "${"$"}{COMP_WORDS[0]}" ]]; do words=("${"$"}{words[@]:1}"); done
  [[ $line == *[[:space:]] ]] && words+=("")
  whole=${"$"}{words[${"$"}{#words[@]}-1]}
  [[ $cur == [=:] ]] && cur=
  [[ $whole == *"$cur" ]] && before=${"$"}{whole%"$cur"}
  COMPREPLY=()
  while IFS=$'\t' read -r value rest; do
    case $value in
      :files)
        compopt -o filenames 2>/dev/null
        while IFS= read -r name; do COMPREPLY+=("$name"); done < <(compgen -f -- "$cur")
        ;;
      :folders)
        compopt -o filenames 2>/dev/null
        while IFS= read -r name; do COMPREPLY+=("$name"); done < <(compgen -d -- "$cur")
        ;;
      *) COMPREPLY+=("${"$"}{value#"$before"}") ;;
    esac
  done < <("${"$"}{words[0]}" complete -- "${"$"}{words[@]:1}" 2>/dev/null)
  if [[ ${"$"}{#COMPREPLY[@]} == 1 && ${"$"}{COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -F _soorma soorma
`;

const zsh = String.raw`#compdef soorma
# soorma for zsh. In ~/.zshrc, after compinit: eval "$(soorma completions zsh)"
_soorma() {
  local line value files
  local -a described
  for line in "${"$"}{(@f)$("${"$"}{(Q)words[1]}" complete -- "${"$"}{(@Q)words[2,CURRENT-1]}" "${"$"}{(Q)PREFIX}" 2>/dev/null)}"; do
    value=${"$"}{line%%$'\t'*}
    case $value in
      '') ;;
      :files | :folders) files=$value ;;
      *) described+=("${"$"}{value//:/\\:}:${"$"}{line#*$'\t'}") ;;
    esac
  done
  (( ${"$"}{#described} )) && _describe -V soorma described
  [[ $files == :files ]] && _files
  [[ $files == :folders ]] && _files -/
  return 0
}
if [[ ${"$"}{funcstack[1]} == _soorma ]]; then
  _soorma "$@"
else
  compdef _soorma soorma
fi
`;

const fish = `# soorma for fish. As ~/.config/fish/completions/soorma.fish, or: soorma completions fish | source
function __soorma_complete
    set -l tokens (commandline -opc)
    set -l current (commandline -ct)
    set -l program $tokens[1]
    set -e tokens[1]
    for line in ($program complete -- $tokens "$current" 2>/dev/null)
        switch $line
            case ':files*'
                __fish_complete_path "$current"
            case ':folders*'
                __fish_complete_directories "$current" ''
            case '*'
                echo $line
        end
    end
end
complete -c soorma -f -a '(__soorma_complete)'
`;

export const scripts: Readonly<Record<Shell, string>> = { bash, zsh, fish };

/** For people: where the script belongs. */
export const installation: Readonly<Record<Shell, string>> = {
  bash: `in ~/.bashrc: eval "$(soorma completions bash)"`,
  zsh: `in ~/.zshrc, after compinit: eval "$(soorma completions zsh)"`,
  fish: "soorma completions fish > ~/.config/fish/completions/soorma.fish",
};
