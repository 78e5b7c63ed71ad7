from earshot.cli.main import main

main()
